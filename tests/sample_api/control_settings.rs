//! The settings as JSON, for `/_control/settings`: a POST changes the members that it names.

use serde_json::{Value, json};

use crate::control::{Refusal, optional, text};
use crate::settings::{Auth, LastPage, PastEnd, Settings};

const MEMBERS: [&str; 6] = [
    "page_size",
    "max_page_size",
    "first_page",
    "past_end",
    "last_page",
    "auth",
];

/// Changes all that is named, or nothing.
pub(crate) fn change(settings: &mut Settings, body: &Value) -> Result<(), Refusal> {
    let named = body.as_object().into_iter().flat_map(|members| members.keys());
    if let Some(unknown) = named.into_iter().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(format!("unknown setting {unknown}; known are {}", MEMBERS.join(", ")));
    }
    let mut changed = settings.clone();
    for (name, place) in [
        ("page_size", &mut changed.page_size),
        ("max_page_size", &mut changed.max_page_size),
        ("first_page", &mut changed.first_page),
    ] {
        *place = optional(body, name)?.unwrap_or(*place);
    }
    if body.get("past_end").is_some() {
        changed.past_end = past_end(text(body, "past_end")?)?;
    }
    if body.get("last_page").is_some() {
        changed.last_page = last_page(text(body, "last_page")?)?;
    }
    if let Some(wanted) = body.get("auth") {
        changed.auth = auth(wanted)?;
    }
    *settings = changed;
    Ok(())
}

fn past_end(word: &str) -> Result<PastEnd, Refusal> {
    match word {
        "empty" => Ok(PastEnd::Empty),
        "not_found" => Ok(PastEnd::NotFound),
        "bad_request" => Ok(PastEnd::BadRequest),
        other => Err(format!("past_end is empty, not_found or bad_request, not {other}")),
    }
}

fn last_page(word: &str) -> Result<LastPage, Refusal> {
    match word {
        "names_nothing" => Ok(LastPage::NamesNothing),
        "names_an_empty_page" => Ok(LastPage::NamesAnEmptyPage),
        other => Err(format!(
            "last_page is names_nothing or names_an_empty_page, not {other}"
        )),
    }
}

fn auth(wanted: &Value) -> Result<Auth, Refusal> {
    let owned = |name| text(wanted, name).map(str::to_owned);
    Ok(match text(wanted, "type")? {
        "none" => Auth::None,
        "bearer" => Auth::Bearer(owned("token")?),
        "basic" => Auth::Basic {
            username: owned("username")?,
            password: owned("password")?,
        },
        "header_key" => Auth::HeaderKey {
            name: owned("name")?,
            value: owned("value")?,
        },
        "query_key" => Auth::QueryKey {
            name: owned("name")?,
            value: owned("value")?,
        },
        "issued" => Auth::Issued,
        other => {
            return Err(format!(
                "auth.type is none, bearer, basic, header_key, query_key or issued, not {other}"
            ));
        }
    })
}

/// As they are now; of the authentication only its kind.
pub(crate) fn show(settings: &Settings) -> Value {
    json!({
        "page_size": settings.page_size,
        "max_page_size": settings.max_page_size,
        "first_page": settings.first_page,
        "past_end": match settings.past_end {
            PastEnd::Empty => "empty",
            PastEnd::NotFound => "not_found",
            PastEnd::BadRequest => "bad_request",
        },
        "last_page": match settings.last_page {
            LastPage::NamesNothing => "names_nothing",
            LastPage::NamesAnEmptyPage => "names_an_empty_page",
        },
        "auth": { "type": settings.auth.name() },
    })
}
