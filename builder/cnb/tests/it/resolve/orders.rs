//! Orders that lead nowhere, and what an order leads to.

use super::*;

#[test]
fn orders_that_can_not_be_unfolded_are_errors() {
    let run = |of: &str, composites: &[&str], all_fail: bool| {
        let (order, catalog) = (order(of), catalog(composites));
        let image = ImageTarget::default();
        let setting = Setting {
            order: &order,
            catalog: &catalog,
            image: &image,
            exec_env: None,
        };
        let answer = if all_fail { Answer::Fail } else { Answer::Error };
        resolve::<OrderError>(setting, |keys| {
            Ok(keys.iter().map(|key| (key.clone(), answer.clone())).collect())
        })
        .map(|_| ())
    };
    let id = |id: &str| id.parse().expect("an ID");
    let version = |text: &str| text.parse().expect("a version");
    assert_eq!(
        run("Z", &[], true),
        Err(OrderError::Missing {
            id: id("Z"),
            version: None
        })
    );
    assert_eq!(
        run("A@2", &[], true),
        Err(OrderError::Missing {
            id: id("A"),
            version: Some(version("2"))
        })
    );
    assert_eq!(
        run("O", &["O=A,O"], true),
        Err(OrderError::TooDeep { id: id("O") })
    );
    assert_eq!(
        run("O", &["O=P", "P=O"], false),
        Err(OrderError::TooDeep { id: id("O") })
    );
    let row = "A;B;C;D;E;F;G;H";
    let wide: Vec<String> = ["O", "P", "Q", "R", "S"]
        .iter()
        .map(|it| format!("{it}={row}"))
        .collect();
    let wide: Vec<&str> = wide.iter().map(String::as_str).collect();
    assert_eq!(run("O,P,Q,R,S", &wide, true), Err(OrderError::TooMany));
}

#[test]
fn without_a_version_the_only_one_is_meant() {
    let mut catalog = catalog(&[]);
    let mut other = descriptor(Kind::Buildpack, "A", "");
    other.version = "2".parse().expect("a version");
    catalog.add(other);
    let id = "A".parse().expect("an ID");
    assert_eq!(
        catalog.find(Kind::Buildpack, &id, None),
        Err(OrderError::Several { id: id.clone() })
    );
    let one = "1".parse().expect("a version");
    assert!(catalog.find(Kind::Buildpack, &id, Some(&one)).is_ok());
    // A buildpack and an extension may share an ID.
    assert!(catalog.find(Kind::Extension, &id, None).is_err());
}

#[test]
fn all_that_an_order_leads_to_is_found_once() {
    let catalog = catalog(&["O=A,P;B", "P=C;A"]);
    let order = Order {
        order: groups("O,D;C"),
        order_extensions: groups("X"),
    };
    assert_eq!(
        components(&order, &catalog).map(|it| text(&it)).as_deref(),
        Ok("X A C B D")
    );
}
