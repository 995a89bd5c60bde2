//! The document as a whole: its version, references, server, credentials. Every look costs a step, of which there are so
//! many: a small document can refer to itself a million times.

use super::fault::OpenApiFault;
use crate::discover::job_name;
use serde_json::{Map, Value};
use std::cell::Cell;

/// Looks at a schema, an array's element, a reference: a large real document needs some ten thousand.
const MOST_STEPS: u32 = 500_000;
/// References that lead to one another.
const MOST_HOPS: u32 = 32;

pub(super) struct Document<'d> {
    root: &'d Value,
    steps: Cell<u32>,
    /// The name that the statements give to the connection.
    pub connection: String,
    /// A sentence about the server's address.
    pub server: Option<String>,
}

impl<'d> Document<'d> {
    pub fn new(root: &'d Value) -> Result<Document<'d>, OpenApiFault> {
        let version = root
            .get("openapi")
            .or_else(|| root.get("swagger"))
            .and_then(Value::as_str);
        let is_known = version.is_some_and(|version| version.starts_with("3.") || version.starts_with("2."));
        if !is_known || !root.get("paths").is_some_and(Value::is_object) {
            return Err(OpenApiFault::NotOpenApi);
        }
        let title = root.pointer("/info/title").and_then(Value::as_str).unwrap_or("api");
        let connection = job_name(&title.replace(['/', '.'], " "), "api");
        let address = address(root);
        let server = address.map(|address| {
            format!(
                "Connection \"{connection}\" is to have the base URL {}.",
                crate::data::excerpt(&address)
            )
        });
        Ok(Document {
            root,
            steps: Cell::new(0),
            connection,
            server,
        })
    }

    pub fn paths(&self) -> Result<&'d Map<String, Value>, OpenApiFault> {
        self.root
            .get("paths")
            .and_then(Value::as_object)
            .ok_or(OpenApiFault::NotOpenApi)
    }

    /// Counts one look.
    pub fn step(&self) -> Result<(), OpenApiFault> {
        self.steps.set(self.steps.get() + 1);
        match self.steps.get() > MOST_STEPS {
            true => Err(OpenApiFault::TooLarge),
            false => Ok(()),
        }
    }

    /// Whether much of what may be looked at was.
    pub fn is_slow(&self) -> bool {
        self.steps.get() > MOST_STEPS / 2
    }

    /// What a value stands for: itself, or what its `$ref` within the document leads to. A reference that leads nowhere,
    /// out of the document or in a circle is an empty schema.
    pub fn resolve(&self, value: &'d Value) -> Result<&'d Value, OpenApiFault> {
        let mut found = value;
        for _ in 0..MOST_HOPS {
            self.step()?;
            let Some(reference) = found.get("$ref").and_then(Value::as_str) else {
                return Ok(found);
            };
            let Some(target) = self.target(reference) else { break };
            found = target;
        }
        Ok(&Value::Null)
    }

    fn target(&self, reference: &str) -> Option<&'d Value> {
        let pointer = reference.strip_prefix('#')?;
        let decoded = match pointer.contains('%') {
            true => std::borrow::Cow::Owned(percent_decoded(pointer)?),
            false => pointer.into(),
        };
        self.root.pointer(&decoded)
    }

    /// A sentence about the credentials that an operation needs.
    pub fn security(&self, operation: &Map<String, Value>) -> Option<String> {
        let needed = operation
            .get("security")
            .or_else(|| self.root.get("security"))?
            .as_array()?;
        let name = needed
            .iter()
            .filter_map(Value::as_object)
            .find_map(|one| one.keys().next())?;
        let schemes = self
            .root
            .pointer("/components/securitySchemes")
            .or_else(|| self.root.get("securityDefinitions"))?;
        let scheme = schemes.get(name)?;
        let text = |key| scheme.get(key).and_then(Value::as_str).unwrap_or_default();
        let auth = match (text("type"), text("scheme").to_ascii_lowercase().as_str()) {
            ("http", "basic") | ("basic", _) => "auth basic".to_owned(),
            ("http", "bearer") => "auth bearer".to_owned(),
            ("apiKey", _) => format!(
                "auth api_key, api_key_name {}, api_key_in {}",
                crate::data::excerpt(text("name")),
                crate::data::excerpt(text("in"))
            ),
            ("oauth2" | "openIdConnect", _) => "OAuth".to_owned(),
            _ => return None,
        };
        Some(format!("It needs {auth}."))
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let pair = format!("x={}", text.replace('+', "%2B"));
    let mut pairs = url::form_urlencoded::parse(pair.as_bytes());
    pairs.next().map(|(_, value)| value.into_owned())
}

/// The server's address as the document gives it, with the defaults of its variables.
fn address(root: &Value) -> Option<String> {
    if let Some(server) = root.pointer("/servers/0") {
        let mut address = server.get("url")?.as_str()?.to_owned();
        let variables = server.get("variables").and_then(Value::as_object);
        for (name, variable) in variables.into_iter().flatten().take(20) {
            let default = variable.get("default").and_then(Value::as_str).unwrap_or_default();
            address = address.replace(&format!("{{{name}}}"), default);
            address.truncate(address.floor_char_boundary(2_000));
        }
        return Some(address);
    }
    let host = root.get("host")?.as_str()?;
    let scheme = root.pointer("/schemes/0").and_then(Value::as_str).unwrap_or("https");
    let base = root.get("basePath").and_then(Value::as_str).unwrap_or_default();
    Some(format!("{scheme}://{host}{base}"))
}
