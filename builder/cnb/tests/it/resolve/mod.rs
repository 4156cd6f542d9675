//! From an order to a group. Buildpacks A to H have programs; O, P, ... are composites, written `O=A,B;C,D?`: two
//! rows, D optional. An order is written the same way. `[X]` in an order's place for extensions is one.

mod fitting;
mod orders;

use pvdify_cnb::{
    catalog::{Catalog, Key, OrderError, components},
    descriptor::{Descriptor, Kind},
    group::{Order, OrderElement, OrderGroup, System, SystemBuildpacks},
    plan::BuildPlan,
    resolve::{Answer, Setting, Undetected, VerdictResult, resolve},
    target::ImageTarget,
};
use std::{cell::RefCell, collections::BTreeMap};

fn groups(text: &str) -> Vec<OrderGroup> {
    let element = |word: &str| {
        let (name, version) = match word.trim_end_matches('?').split_once('@') {
            Some((name, version)) => (name, Some(version.parse().expect("a version"))),
            None => (word.trim_end_matches('?'), None),
        };
        let mut element = OrderElement::new(name.parse().expect("an ID"), version);
        element.optional = word.ends_with('?');
        element
    };
    let rows = text.split(';').filter(|row| !row.is_empty());
    rows.map(|row| OrderGroup {
        group: row.split(',').map(element).collect(),
    })
    .collect()
}

fn descriptor(kind: Kind, id: &str, more: &str) -> Descriptor {
    let table = if kind == Kind::Buildpack {
        "buildpack"
    } else {
        "extension"
    };
    let text = format!("api = '0.12'\n[{table}]\nid = '{id}'\nversion = '1'\n{more}");
    Descriptor::parse(&text).expect("a descriptor")
}

/// Buildpacks A to H, extensions X and Y, and these composites.
fn catalog(composites: &[&str]) -> Catalog {
    let mut catalog = Catalog::default();
    for id in ["A", "B", "C", "D", "E", "F", "G", "H"] {
        catalog.add(descriptor(Kind::Buildpack, id, ""));
    }
    for id in ["X", "Y"] {
        catalog.add(descriptor(Kind::Extension, id, ""));
    }
    for composite in composites {
        let (id, order) = composite.split_once('=').expect("ID=order");
        let mut descriptor = descriptor(Kind::Buildpack, id, "");
        descriptor.order = groups(order);
        catalog.add(descriptor);
    }
    catalog
}

fn text(members: &[Key]) -> String {
    members
        .iter()
        .map(|it| it.id.as_str())
        .collect::<Vec<_>>()
        .join(" ")
}

/// Detects; `answers` are buildpacks that do not pass: `A` fails, `A!` goes wrong. The second value is what was asked
/// for, group by group.
fn detect(order: &Order, catalog: &Catalog, answers: &str) -> (Result<String, Undetected>, Vec<String>) {
    let answer = |key: &Key| {
        let failed = answers
            .split_whitespace()
            .find(|it| it.trim_end_matches('!') == key.id.as_str());
        match failed {
            Some(name) if name.ends_with('!') => Answer::Error,
            Some(_) => Answer::Fail,
            None => Answer::Pass(BuildPlan::default()),
        }
    };
    let asked = RefCell::new(Vec::new());
    let image = ImageTarget::default();
    let setting = Setting {
        order,
        catalog,
        image: &image,
        exec_env: None,
    };
    let result = resolve::<OrderError>(setting, |keys| {
        asked.borrow_mut().push(text(keys));
        Ok(keys
            .iter()
            .map(|key| (key.clone(), answer(key)))
            .collect::<BTreeMap<_, _>>())
    });
    let result = result.expect("an order that unfolds");
    (result.map(|it| text(&it.members)), asked.into_inner())
}

/// All groups that an order unfolds to: those that are tried when every plan is refused. A group's last buildpack
/// can't tell, so that all fail here and the verdicts are read.
fn unfolded(order: &Order, catalog: &Catalog) -> Vec<String> {
    let (result, _) = detect(order, catalog, "A B C D E F G H");
    let attempts = result.expect_err("all fail").attempts;
    let members = |keys: &[pvdify_cnb::resolve::Verdict]| {
        keys.iter()
            .map(|it| it.key.id.as_str())
            .collect::<Vec<_>>()
            .join("")
    };
    attempts.iter().map(|it| members(&it.members)).collect()
}

fn order(text: &str) -> Order {
    Order {
        order: groups(text),
        order_extensions: Vec::new(),
    }
}

#[test]
fn composites_unfold_depth_first_with_the_rest_behind_each_row() {
    for (composites, of, expected) in [
        (&[][..], "A,B;C", "AB C"),
        (&["O=A,B;C,D"], "E,O,F", "EABF ECDF"),
        (&["O=A,B;C,D", "P=E,F;G,H"], "O,P", "ABEF ABGH CDEF CDGH"),
        (&["O=A,P;D", "P=B;C"], "O,H", "ABH ACH DH"),
        // An optional composite: without it, last.
        (&["O=A;B"], "O?,C", "AC BC C"),
        (&["O=P?,D;E", "P=A;B"], "O,C", "ADC BDC DC EC"),
        (&["O=A", "P=B"], "O?,P?,C", "ABC AC BC C"),
        // Of two with one ID the first one counts, wherever the second comes from.
        (&[], "A,B,A", "AB"),
        (&["O=A,B;C,A"], "A,O,D", "ABD ACD"),
        (&["O=A,B"], "O,O", "AB"),
        (&[], "A,A@1", "A"),
    ] {
        let catalog = catalog(composites);
        assert_eq!(
            unfolded(&order(of), &catalog).join(" "),
            expected,
            "{of} with {composites:?}"
        );
    }
}

#[test]
fn the_first_group_that_passes_is_taken() {
    for (of, answers, expected) in [
        ("A,B;C", "", "A B"),
        ("A,B;C", "B", "C"),
        ("A,B;C", "B!", "C"),
        // Optional ones may fail and go wrong.
        ("A,B?;C", "B", "A"),
        ("A,B?;C", "B!", "A"),
        ("A,B?;C", "", "A B"),
        // But one must pass.
        ("A?,B?;C", "A B", "C"),
        ("A?,B?;C", "A", "B"),
        ("O;D", "B", "C"),
        ("O,D", "A", "C D"),
        ("O?,D", "A C", "D"),
        ("D,O,E", "A", "D C E"),
    ] {
        let catalog = catalog(&["O=A,B;C"]);
        let (result, _) = detect(&order(of), &catalog, answers);
        assert_eq!(
            result.as_deref(),
            Ok(expected),
            "{of} where {answers} do not pass"
        );
    }
}

#[test]
fn each_buildpack_is_asked_once() {
    let catalog = catalog(&["O=A,B;A,C"]);
    let (result, asked) = detect(&order("O,D;A,B;A,E"), &catalog, "D");
    assert_eq!(result.as_deref(), Ok("A B"));
    assert_eq!(asked, ["A B D", "C"]);
}

#[test]
fn it_is_told_why_nothing_passed() {
    let catalog = catalog(&["O=A;B"]);
    let (result, _) = detect(&order("O;C,D?"), &catalog, "A B C");
    let undetected = result.expect_err("nothing passes");
    assert!(!undetected.errored);
    assert_eq!(undetected.attempts.len(), 3);
    let last: Vec<_> = undetected.attempts[2]
        .members
        .iter()
        .map(|it| (it.optional, it.result))
        .collect();
    assert_eq!(
        last,
        [(false, VerdictResult::Failed), (true, VerdictResult::Passed)]
    );
    // One that went wrong in a group that did not pass; also within a composite that may be left out.
    for (of, answers, errored) in [
        ("A;B", "A! B", true),
        ("O?,C", "A! B C", true),
        ("A,B?", "A B!", true),
    ] {
        let (result, _) = detect(&order(of), &catalog, answers);
        assert_eq!(result.map_err(|it| it.errored), Err(errored), "{of} {answers}");
    }
    let (result, asked) = detect(&order(""), &catalog, "");
    assert_eq!((result, asked.len()), (Err(Undetected::default()), 0));
}

#[test]
fn extensions_stand_before_every_group_and_never_hinder_it() {
    for (extensions, of, answers, expected) in [
        ("X,Y", "A", "", "X Y A"),
        ("X;Y", "A", "", "X A"),
        ("X,Y", "A", "X", "Y A"),
        ("X,Y", "A", "X Y", "A"),
        ("X", "A;B", "A", "X B"),
        // Without a buildpack they are nothing.
        ("X", "A;B", "A B", ""),
        ("X", "A?;B", "A", "X B"),
    ] {
        let order = Order {
            order: groups(of),
            order_extensions: groups(extensions),
        };
        let (result, _) = detect(&order, &catalog(&[]), answers);
        assert_eq!(
            result.unwrap_or_default(),
            expected,
            "{extensions} before {of} where {answers} do not pass"
        );
    }
}

#[test]
fn the_platforms_own_buildpacks_are_in_every_group() {
    let end = |text: &str| SystemBuildpacks {
        buildpacks: groups(text).into_iter().flat_map(|it| it.group).collect(),
    };
    for (pre, of, post, expected) in [
        ("", "A;B", "", "A B"),
        ("C", "A;B", "D", "CAD CBD"),
        ("C,D", "A,C;D", "E", "DACE CDE"),
    ] {
        let system = System {
            pre: end(pre),
            post: end(post),
        };
        let order = order(of).with_system(&system);
        assert_eq!(
            unfolded(&order, &catalog(&[])).join(" "),
            expected,
            "{pre} {of} {post}"
        );
    }
}
