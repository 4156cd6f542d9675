//! Which buildpack runs on which images. Texts are `os/arch/variant/distro version`, with `-` for what is not said.

use pvdify_cnb::target::{Distro, ImageTarget, Target};

fn parts(text: &str) -> [String; 3] {
    let mut parts = text.split(' ').next().unwrap_or_default().split('/');
    std::array::from_fn(|_| {
        parts
            .next()
            .filter(|it| *it != "-")
            .unwrap_or_default()
            .to_owned()
    })
}

fn distros(text: &str) -> Vec<Distro> {
    let all = text.split(' ').skip(1).filter_map(|it| it.split_once('@'));
    let said = |text: &str| {
        if text == "-" {
            String::new()
        } else {
            text.to_owned()
        }
    };
    all.map(|(name, version)| Distro {
        name: said(name),
        version: said(version),
    })
    .collect()
}

#[test]
fn what_is_said_on_both_sides_must_be_the_same() {
    for (image, target, satisfies) in [
        ("linux/amd64", "linux/amd64", true),
        ("linux/amd64", "windows/amd64", false),
        ("linux/amd64", "linux/arm64", false),
        ("linux/amd64", "-/-", true),
        ("linux/-", "linux/arm64", true),
        ("-/-", "linux/amd64", true),
        // The variant.
        ("linux/arm/v6", "linux/arm/v6", true),
        ("linux/arm/v6", "linux/arm/v7", false),
        ("linux/arm/v6", "linux/arm", true),
        ("linux/arm", "linux/arm/v7", true),
        // A distribution that a buildpack names must be known of the image.
        ("linux/amd64", "linux/amd64 debian@13", false),
        ("linux/amd64 debian@13", "linux/amd64 debian@13", true),
        ("linux/amd64 debian@13", "linux/amd64 debian@12", false),
        ("linux/amd64 debian@13", "linux/amd64 ubuntu@13", false),
        (
            "linux/amd64 debian@13",
            "linux/amd64 ubuntu@24.04 debian@13",
            true,
        ),
        ("linux/amd64 debian@13", "linux/amd64 debian@-", true),
        ("linux/amd64 debian@13", "linux/amd64", true),
        ("linux/amd64 debian@-", "linux/amd64 debian@13", true),
    ] {
        let [os, arch, arch_variant] = parts(image);
        let is = ImageTarget {
            os,
            arch,
            arch_variant,
            distro: distros(image).pop(),
        };
        let [os, arch, arch_variant] = parts(target);
        let wanted = Target {
            os,
            arch,
            arch_variant,
            distros: distros(target),
        };
        assert_eq!(is.satisfies(&wanted), satisfies, "{target} on {image}");
    }
}

#[test]
fn what_the_image_does_not_say_is_taken_from_where_the_build_runs() {
    let trixie = "PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nVERSION_ID=\"13\"\n ID=debian\nID_LIKE=x\n";
    let here = ImageTarget::default().or_here(trixie, "x86_64");
    assert_eq!(
        here.variables(),
        [
            ("CNB_TARGET_OS", "linux"),
            ("CNB_TARGET_ARCH", "amd64"),
            ("CNB_TARGET_DISTRO_NAME", "debian"),
            ("CNB_TARGET_DISTRO_VERSION", "13"),
        ]
    );
    let given: ImageTarget = toml::from_str(
        "os = 'linux'\narch = 'arm64'\narch-variant = 'v8'\n[distro]\nname = 'ubuntu'\nversion = '24.04'",
    )
    .expect("a target");
    assert_eq!(given.clone().or_here(trixie, "x86_64"), given);
    assert_eq!(
        given.variables()[2..],
        [
            ("CNB_TARGET_ARCH_VARIANT", "v8"),
            ("CNB_TARGET_DISTRO_NAME", "ubuntu"),
            ("CNB_TARGET_DISTRO_VERSION", "24.04"),
        ]
    );
    assert_eq!(ImageTarget::default().or_here("", "aarch64").variables().len(), 2);
}
