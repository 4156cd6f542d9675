//! Django and its static files, by a package that stands in for it: it has the commands that matter.

use crate::app_with_uv as app;
use buildpack_support::testing::App;

fn django(collect: &str) -> App {
    let manage = format!(
        "import os, sys\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\nimport django\n\
         if sys.argv[1] == 'help':\n    sys.exit(0)\n{collect}\n"
    );
    app()
        .file("requirements.txt", "./django\n")
        .file(
            "django/pyproject.toml",
            "[project]\nname = \"django\"\nversion = \"5.0\"\n[build-system]\nrequires = [\"uv_build>=0.8\"]\n\
             build-backend = \"uv_build\"\n",
        )
        .file("django/src/django/__init__.py", "")
        .file("shop/wsgi.py", "")
        .file("manage.py", &manage)
}

#[test]
fn static_files_are_collected() {
    let app =
        django("assert sys.argv[1:] == ['collectstatic', '--noinput']\nopen('collected', 'w').write('x')");
    let built = app.build().passed();
    assert!(
        built
            .stdout
            .contains("-----> Collecting static files\n       $ python manage.py collectstatic --noinput\n"),
        "{}",
        built.stdout
    );
    assert!(app.dir().join("collected").is_file());
    assert!(
        built
            .stdout
            .contains(" !     The app installs no server for production"),
        "{}",
        built.stdout
    );
    assert_eq!(
        app.process("web").unwrap()[2],
        "python manage.py runserver --noreload 0.0.0.0:$PORT"
    );

    let app = app.env("DISABLE_COLLECTSTATIC", "1");
    app.write("collected", "by hand");
    assert!(
        app.build()
            .passed()
            .stdout
            .contains("Left out: DISABLE_COLLECTSTATIC is set")
    );
    assert_eq!(
        std::fs::read_to_string(app.dir().join("collected")).unwrap(),
        "by hand"
    );
}

#[test]
fn settings_that_want_a_variable_end_the_build() {
    let built = django("os.environ['SECRET_KEY']").build();
    assert_eq!(built.code, 1);
    assert!(
        built.stderr.contains("KeyError: 'SECRET_KEY'"),
        "{}",
        built.stderr
    );
    assert!(
        built
            .stderr
            .contains("The app's settings want the variable SECRET_KEY in the build."),
        "{}",
        built.stderr
    );
}

#[test]
fn without_a_folder_for_them_static_files_are_left() {
    let built =
        django("sys.exit(\"You're using the staticfiles app without having set the STATIC_ROOT setting\")")
            .build();
    assert!(built.passed().stdout.contains(" !     STATIC_ROOT is not set"));
}

#[test]
fn a_procfile_says_what_serves() {
    let app = app()
        .file("main.py", "")
        .file("Procfile", "web: python main.py\n");
    assert!(!app.build().passed().stdout.contains("Process types"));
    assert_eq!(app.process("web"), None);
}
