//! The application object in a source: `app = FastAPI(` and its kind, read line by line.

use super::Interface;

pub(super) struct Object {
    pub(super) name: String,
    pub(super) interface: Interface,
    pub(super) is_flask: bool,
}

pub(super) fn object(text: &str, kind: Interface) -> Option<Object> {
    let mut found: Vec<Object> = text.lines().filter_map(|line| assigned(line, kind)).collect();
    // Dash's object is no WSGI application, but has one.
    if found.iter().any(|object| object.name.starts_with("dash:")) {
        found.retain(|object| !object.name.starts_with("dash:"));
        let server = text.lines().find_map(|line| {
            line.strip_suffix(".server")?
                .split_once('=')
                .map(|(name, _)| name.trim())
        });
        found.extend(server.filter(|name| is_identifier(name)).map(|name| Object {
            name: name.to_owned(),
            interface: Interface::Wsgi,
            is_flask: false,
        }));
    }
    let named = ["app", "application", "api", "server"]
        .iter()
        .find_map(|name| found.iter().rposition(|object| object.name == *name));
    let at = named.or(if found.is_empty() { None } else { Some(0) });
    if let Some(at) = at {
        return Some(found.swap_remove(at));
    }
    let factory = ["create_app", "make_app"]
        .iter()
        .find(|name| text.lines().any(|line| line.starts_with(&format!("def {name}("))))?;
    let is_flask = text.contains("Flask(");
    let interface = if is_flask {
        Interface::Wsgi
    } else if text.contains("FastAPI(") {
        Interface::Asgi
    } else {
        return None;
    };
    Some(Object {
        name: format!("{factory}()"),
        interface,
        is_flask,
    })
}

// `app = FastAPI(`, `app: FastAPI = fastapi.FastAPI(`, `app, rt = fast_app(`.
fn assigned(line: &str, kind: Interface) -> Option<Object> {
    let (left, right) = line.split_once('=')?;
    let name = left.split([':', ',']).next()?.trim();
    if line.starts_with([' ', '\t']) || !is_identifier(name) {
        return None;
    }
    let call = right.split_once('(')?.0.trim();
    let maker = call.rsplit('.').next()?;
    let (interface, is_flask) = match maker {
        "FastAPI"
        | "Starlette"
        | "Litestar"
        | "Quart"
        | "Sanic"
        | "FastHTML"
        | "fast_app"
        | "ASGIApp"
        | "AsyncApp"
        | "get_asgi_application"
        | "BlackSheep"
        | "Esmerald" => (Interface::Asgi, false),
        "Flask" | "APIFlask" | "OpenAPI" => (Interface::Wsgi, true),
        "Bottle" | "default_app" | "get_wsgi_application" | "WSGIApp" | "FlaskApp" => {
            (Interface::Wsgi, false)
        }
        "App" if call == "falcon.App" => (Interface::Wsgi, false),
        "App" if call == "falcon.asgi.App" => (Interface::Asgi, false),
        "create_app" | "make_app" | "create_application" => (kind, kind == Interface::Wsgi),
        "Dash" => {
            return Some(Object {
                name: format!("dash:{name}"),
                interface: Interface::Wsgi,
                is_flask: false,
            });
        }
        _ => return None,
    };
    Some(Object {
        name: name.to_owned(),
        interface,
        is_flask,
    })
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
