//! Names under which people put credentials where everybody can read them.
//!
//! A server's options are readable by every role of the cluster, and a job's settings by all who see the job. A name is
//! recognised whatever its case and separators: `X-API-Key`, `apiKey` and `api_key` are the same.

/// Whole names, without separators, in lower case, and without an `X-` before them.
const NAMES: [&str; 32] = [
    "accesskey",
    "accesstoken",
    "apikey",
    "apisecret",
    "apitoken",
    "appkey",
    "appsecret",
    "authkey",
    "authorization",
    "authtoken",
    "bearer",
    "bearertoken",
    "clientsecret",
    "cookie",
    "credential",
    "credentials",
    "jwt",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "privatetoken",
    "pwd",
    "refreshtoken",
    "secret",
    "secretkey",
    "sessionid",
    "sessiontoken",
    "token",
    "subscriptionkey",
    "ocpapimsubscriptionkey",
    "userpassword",
];

/// Parts that make any option's name suspect, `db_password_2` for example.
const PARTS: [&str; 8] = [
    "password",
    "passwd",
    "secret",
    "token",
    "apikey",
    "credential",
    "privatekey",
    "bearer",
];

/// Whether a request parameter or header of this name would hold a credential. Only whole names count: `page_token` and
/// `keyword` are ordinary.
pub fn names_a_credential(name: &str) -> bool {
    is_listed(&fold(name))
}

fn is_listed(folded: &str) -> bool {
    NAMES.contains(&folded) || folded.strip_prefix('x').is_some_and(|rest| NAMES.contains(&rest))
}

/// Whether an option that we do not know is meant to hold a credential.
pub fn option_smells_of_a_credential(name: &str) -> bool {
    let folded = fold(name);
    is_listed(&folded) || PARTS.iter().any(|part| folded.contains(part))
}

fn fold(name: &str) -> String {
    name.chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_recognised_whatever_their_spelling() {
        for name in [
            "password",
            "X-API-Key",
            "apiKey",
            "access_token",
            "Authorization",
            "TOKEN",
            "client-secret",
            "X-Access-Token",
            "X-Api-Token",
            "x_auth_token",
            "X-Token",
            "Ocp-Apim-Subscription-Key",
        ] {
            assert!(names_a_credential(name), "{name}");
        }
    }

    #[test]
    fn ordinary_parameters_are_no_credentials() {
        for name in [
            "page_token",
            "keyword",
            "key",
            "q",
            "limit",
            "author",
            "token_type",
            "since",
            "authors",
        ] {
            assert!(!names_a_credential(name), "{name}");
        }
    }

    #[test]
    fn an_options_name_is_judged_by_its_parts_too() {
        assert!(option_smells_of_a_credential("db_password_2"));
        assert!(option_smells_of_a_credential("shop-api-key-value"));
        assert!(!option_smells_of_a_credential("timeout"));
    }
}
