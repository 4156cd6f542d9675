//! Which build plans fit together. A plan is written `+a -b`: provides a, requires b; `|` is `or`; a name with `?` at
//! its end is optional, one in brackets an extension.

use pvdify_cnb::{
    catalog::Key,
    descriptor::Kind,
    plan::{BuildPlan, PlanChoice, Provide, Require},
    trial::{Passed, agree},
};

fn plan(text: &str) -> BuildPlan {
    let choice = |text: &str| {
        let mut choice = PlanChoice::default();
        for word in text.split_whitespace() {
            match word.split_at(1) {
                ("+", name) => choice.provides.push(Provide {
                    name: name.to_owned(),
                }),
                (_, name) => {
                    let metadata = toml::Table::new();
                    choice.requires.push(Require {
                        name: name.to_owned(),
                        metadata,
                    });
                }
            }
        }
        choice
    };
    let mut choices = text.split('|').map(choice);
    BuildPlan {
        first: choices.next().unwrap_or_default(),
        or: choices.collect(),
    }
}

/// Who is left and what they agreed on, or why not.
fn outcome(group: &[(&str, &str)]) -> Result<String, String> {
    let group: Vec<(Key, bool, BuildPlan)> = group
        .iter()
        .map(|(name, text)| {
            let kind = if name.starts_with('[') {
                Kind::Extension
            } else {
                Kind::Buildpack
            };
            let id = name.trim_matches(['[', ']', '?']).parse().expect("a name");
            let version = "1".parse().expect("a version");
            (
                Key { kind, id, version },
                name.ends_with('?') || kind == Kind::Extension,
                plan(text),
            )
        })
        .collect();
    let passed: Vec<Passed<'_>> = group
        .iter()
        .map(|(key, optional, plan)| Passed {
            key,
            optional: *optional,
            plan,
        })
        .collect();
    let agreed = agree(&passed).map_err(|reasons| reasons.join("; "))?;
    let members: Vec<&str> = agreed.members.iter().map(|at| group[*at].0.id.as_str()).collect();
    let mut text = members.join(" ");
    for entry in agreed.plan.entries {
        let name = &entry
            .requires
            .first()
            .expect("an entry is required by somebody")
            .name;
        let providers: Vec<&str> = entry.providers.iter().map(|it| it.id.as_str()).collect();
        text += &format!(" ({name}: {} for {})", providers.join(","), entry.requires.len());
    }
    Ok(text)
}

#[test]
fn plans_that_fit() {
    for (group, expected) in [
        (&[("A", "")][..], "A"),
        (&[("A", ""), ("B?", "")], "A B"),
        // The same one, or one before.
        (&[("A", "+x -x")], "A (x: A for 1)"),
        (&[("A", "+x"), ("B", "-x")], "A B (x: A for 1)"),
        // Each requirement goes to all that provided it until then, and those after serve the later ones.
        (
            &[("A", "+x -x"), ("B", "-x"), ("C", "+x"), ("D", "-x")],
            "A B C D (x: A,C for 3)",
        ),
        (
            &[("A", "+x"), ("B", "+x"), ("C", "-x -x")],
            "A B C (x: A,B for 2)",
        ),
        (&[("A", "+x +x"), ("B", "-x")], "A B (x: A for 1)"),
        (&[("A", "+y +x"), ("B", "-x -y")], "A B (x: A for 1) (y: A for 1)"),
        // Optional ones that do not fit are left out, and whoever lived of them too.
        (&[("A", ""), ("B?", "-x")], "A"),
        (&[("A", ""), ("B?", "+x")], "A"),
        (&[("A?", "-x"), ("B", "+y -y"), ("C?", "+z")], "B (y: B for 1)"),
        (
            &[("A?", "+x -none"), ("B?", "-x +y"), ("C?", "-y"), ("D", "")],
            "D",
        ),
        (
            &[("A", "+x"), ("B?", "-x -none"), ("C", "-x")],
            "A C (x: A for 1)",
        ),
        (&[("A?", "+x"), ("B?", "-x +none"), ("C", "")], "C"),
        // Choices: left to right, depth first.
        (&[("A", "+x | "), ("B", "")], "A B"),
        (&[("A", "+x | +y"), ("B", "-y")], "A B (y: A for 1)"),
        (&[("A", "+x | +y"), ("B", "-z | -y | -x")], "A B (x: A for 1)"),
        (&[("A", "-none | +a | +b"), ("B", "-b | -a")], "A B (a: A for 1)"),
        // Optional only with its last choice: an earlier one that does not fit makes way for the next.
        (&[("A?", "+x | +y"), ("B", "-y")], "A B (y: A for 1)"),
        (&[("A?", "+x | +y"), ("B", "")], "B"),
        (&[("A?", "+x | "), ("B", "")], "A B"),
        // Extensions come first and are left out when nobody wants them.
        (&[("[E]", "+x"), ("B", "-x")], "E B (x: E for 1)"),
        (&[("[E]", "+x"), ("B", "")], "B"),
        (&[("[E]", ""), ("B", "")], "E B"),
        (
            &[("[E]", "+x"), ("[F]", "+x"), ("B", "-x")],
            "E F B (x: E,F for 1)",
        ),
    ] {
        assert_eq!(outcome(group).as_deref(), Ok(expected), "{group:?}");
    }
}

#[test]
fn plans_that_do_not_fit() {
    let requires =
        |id: &str, name: &str| format!("{id}@1 requires {name:?}, which nothing before it provides");
    let provides =
        |id: &str, name: &str| format!("{id}@1 provides {name:?}, which nothing after it requires");
    for (group, expected) in [
        (&[("A", "-x")][..], requires("A", "x")),
        (&[("A", "-x"), ("B", "+x")], requires("A", "x")),
        (&[("A", "+x")], provides("A", "x")),
        (&[("A", "-y"), ("B", "+x")], requires("A", "y")),
        (&[("A", "+x -x"), ("B", "+x")], provides("B", "x")),
        // What is left out takes along what others need.
        (&[("A?", "+x -none"), ("B", "-x")], requires("B", "x")),
        (&[("A", "+x"), ("B?", "-x -none")], provides("A", "x")),
        // Every way of failing once.
        (
            &[("A", "-x | +y")],
            format!("{}; {}", requires("A", "x"), provides("A", "y")),
        ),
        (
            &[("A?", "-x")],
            "no buildpack is left when those are left out whose plans do not fit".to_owned(),
        ),
        (
            &[("[E]", ""), ("A?", "-x")],
            "no buildpack is left when those are left out whose plans do not fit".to_owned(),
        ),
    ] {
        assert_eq!(outcome(group), Err(expected), "{group:?}");
    }
}

#[test]
fn many_choices_end() {
    let plan: Vec<String> = (0..30).map(|at| format!("+x{at}")).collect();
    let group: Vec<(String, String)> = (0..30).map(|at| (format!("b{at}"), plan.join(" | "))).collect();
    let group: Vec<(&str, &str)> = group
        .iter()
        .map(|(name, plan)| (name.as_str(), plan.as_str()))
        .collect();
    let reasons = outcome(&group).expect_err("nobody requires anything");
    assert!(reasons.starts_with("the plans have more than"), "{reasons}");
}
