//! A device authorization (RFC 8628): what the person is shown, and how often the remote may be asked.

use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::answer::shown;
use super::fault::OAuthFault;
use crate::http::{Request, Response, Secret};

/// RFC 8628, 3.2: where the remote names no interval.
const INTERVAL: u64 = 5;
const LONGEST_INTERVAL: u64 = 300;
/// Longest time for which a device code is polled, whatever the remote says.
const LONGEST_LIFE: u64 = 3600;

/// What a device authorization begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceCode {
    pub code: Secret,
    /// What the person types in.
    pub user_code: String,
    /// Where.
    pub address: Url,
    pub interval: Duration,
    pub lifetime: Duration,
}

impl DeviceCode {
    /// The one line that the person is shown.
    pub fn instruction(&self) -> String {
        format!("Open {} and enter the code {}", self.address, self.user_code)
    }
}

/// Reads the answer of the device endpoint.
///
/// # Errors
/// What the remote says instead.
pub fn read_device_code(request: &Request, response: &Response, sent: &[Secret]) -> Result<DeviceCode, OAuthFault> {
    let remote = request.remote();
    let unreadable = |what| OAuthFault::Unreadable {
        remote: remote.clone(),
        status: response.status,
        what,
    };
    let document: Value = serde_json::from_slice(&response.body).map_err(|_| unreadable("It is not JSON."))?;
    let text = |name: &str| document.get(name).and_then(Value::as_str);
    if let Some(code) = text("error") {
        return Err(OAuthFault::Refused {
            remote,
            code: shown(code, sent),
            description: text("error_description").map(|text| shown(text, sent)),
        });
    }
    let seconds = |name: &str| document.get(name).and_then(Value::as_u64);
    // RFC 8628 has verification_uri; some servers are older than it.
    let address = text("verification_uri").or_else(|| text("verification_url"));
    let address = address.and_then(|address| Url::parse(address).ok());
    let address = address.filter(|address| matches!(address.scheme(), "http" | "https"));
    let user_code = text("user_code").filter(|code| code.len() <= 64 && !code.chars().any(char::is_control));
    let code = text("device_code").filter(|code| !code.is_empty() && !code.chars().any(char::is_control));
    let (Some(code), Some(user_code), Some(address)) = (code, user_code, address) else {
        return Err(unreadable("It has no device code, user code and verification address."));
    };
    Ok(DeviceCode {
        code: Secret::new(code),
        user_code: user_code.to_owned(),
        address,
        interval: Duration::from_secs(seconds("interval").unwrap_or(INTERVAL).clamp(1, LONGEST_INTERVAL)),
        lifetime: Duration::from_secs(seconds("expires_in").unwrap_or(LONGEST_LIFE).clamp(1, LONGEST_LIFE)),
    })
}
