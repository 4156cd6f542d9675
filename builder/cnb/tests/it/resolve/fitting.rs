//! Who does not fit: made for other images, or for another execution environment.

use super::*;

#[test]
fn a_required_buildpack_for_another_target_is_an_error_and_is_not_run() {
    let mut catalog = catalog(&[]);
    let target = "[[targets]]\nos = 'linux'\narch = 'arm64'\n";
    catalog.add(descriptor(Kind::Buildpack, "M", target));
    let image = ImageTarget {
        os: "linux".into(),
        arch: "amd64".into(),
        ..ImageTarget::default()
    };
    for (of, expected, run) in [
        ("M", Err(true), ""),
        ("M;A", Ok("A"), "A"),
        ("M?,A", Ok("M A"), "M A"),
    ] {
        let order = order(of);
        let setting = Setting {
            order: &order,
            catalog: &catalog,
            image: &image,
            exec_env: None,
        };
        let asked = RefCell::new(String::new());
        let result = resolve::<OrderError>(setting, |keys| {
            asked.borrow_mut().push_str(&text(keys));
            Ok(keys
                .iter()
                .map(|key| (key.clone(), Answer::Pass(BuildPlan::default())))
                .collect())
        });
        let result = result
            .expect("an order that unfolds")
            .map(|it| text(&it.members))
            .map_err(|it| it.errored);
        assert_eq!(result.as_deref().map_err(|it| *it), expected, "{of}");
        assert_eq!(asked.into_inner(), run, "{of}");
    }
}

#[test]
fn a_buildpack_of_another_execution_environment_is_as_if_it_were_not_there() {
    for (exec_env, listed, takes_part) in [
        (Some("test"), "exec-env = []", true),
        (Some("test"), "exec-env = ['*']", true),
        (Some("test"), "exec-env = ['production', 'test']", true),
        (Some("test"), "exec-env = ['production']", false),
        (Some("test"), "[[buildpack.exec-env]]\nname = 'production'", false),
        (Some("test"), "[[buildpack.exec-env]]\nname = 'test'", true),
        // A platform that knows nothing of them.
        (None, "exec-env = ['production']", true),
    ] {
        let mut catalog = catalog(&[]);
        catalog.add(descriptor(Kind::Buildpack, "M", listed));
        let order = order("M,A");
        let image = ImageTarget::default();
        let setting = Setting {
            order: &order,
            catalog: &catalog,
            image: &image,
            exec_env,
        };
        let result = resolve::<OrderError>(setting, |keys| {
            Ok(keys
                .iter()
                .map(|key| (key.clone(), Answer::Pass(BuildPlan::default())))
                .collect())
        });
        let members = result.expect("an order that unfolds").expect("a group").members;
        assert_eq!(
            text(&members),
            if takes_part { "M A" } else { "A" },
            "{exec_env:?} {listed}"
        );
    }
    // An order may say it of an element, too; and when nobody is left, the next group is tried.
    let catalog = catalog(&[]);
    let mut order = order("A;B");
    order.order[0].group[0].exec_env = vec!["production".to_owned()];
    let image = ImageTarget::default();
    let setting = Setting {
        order: &order,
        catalog: &catalog,
        image: &image,
        exec_env: Some("test"),
    };
    let result = resolve::<OrderError>(setting, |keys| {
        Ok(keys
            .iter()
            .map(|key| (key.clone(), Answer::Pass(BuildPlan::default())))
            .collect())
    });
    assert_eq!(text(&result.expect("an order").expect("a group").members), "B");
}
