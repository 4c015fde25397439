//! The description of everything that this server answers itself: OpenAPI 3.1, made from the table of operations and, for the
//! endpoints that are not in it, from a short list here.

use serde_json::{Map, Value, json};

use super::operations::{Kind, OPERATIONS, Operation};

/// The document. `base`: what our own paths begin with; `prefixes`: those of the OAuth endpoints.
pub fn description(base: &str, prefixes: &[&str]) -> String {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        add(&mut paths, format!("{base}{}", operation.path), operation.method, described(operation));
    }
    for prefix in prefixes {
        for (path, methods, summary, answer) in OAUTH {
            for method in *methods {
                let id = format!("{} {prefix}{path}", method.to_lowercase());
                let described = json!({
                    "tags": ["OAuth 1.0a"],
                    "summary": summary,
                    "operationId": name_of(&id),
                    "security": if *path == "/authorize" { json!([]) } else { json!([{ "oauth1": [] }]) },
                    "responses": {
                        "200": { "description": "Done", "content": { *answer: { "schema": { "type": "string" } } } },
                        "400": { "description": "oauth_problem", "content": problem() },
                        "401": { "description": "oauth_problem", "content": problem() },
                        "403": { "description": "oauth_problem", "content": problem() },
                    },
                });
                add(&mut paths, format!("{prefix}{path}"), method, described);
            }
        }
    }
    add(&mut paths, "/v2/me".to_owned(), "GET", me());
    add(&mut paths, format!("{base}/api/auth/jwt"), "POST", jwt());
    let document = json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Countersign",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Who is calling, for which account, with which scopes? The management API, the OAuth 1.0a endpoints and the caller's identity.",
        },
        "servers": [{ "url": "/" }],
        "security": [{ "oauth1": [] }, { "basic": [] }, { "bearer": [] }, { "session": [] }],
        "paths": paths,
        "components": { "schemas": schemas(), "securitySchemes": security_schemes() },
    });
    let mut text = format!("{document:#}");
    text.push('\n');
    text
}

/// The ways in that any API behind this server may have.
pub fn security_schemes() -> Value {
    json!({
        "oauth1": { "type": "http", "scheme": "OAuth", "description": "A signed request (RFC 5849)" },
        "basic": {
            "type": "http",
            "scheme": "basic",
            "description": "username:password, or public_key:private_key",
        },
        "digest": { "type": "http", "scheme": "digest", "description": "RFC 7616; not for the management API" },
        "bearer": { "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "A token that this server issued" },
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": crate::auth::session::COOKIE,
            "description": "The login cookie, which the browser sends by itself; X-CSRF-Token beside it for changes",
        },
    })
}

/// Path behind the prefix, methods, what it does, and what it answers with.
const OAUTH: &[(&str, &[&str], &str, &str)] = &[
    ("/request_token", &["GET", "POST"], "Get a request token", FORM),
    ("/authorize", &["GET"], "The login and consent pages; the query holds oauth_token", "text/html"),
    ("/authorize", &["POST"], "The account holder's decision; leads to the callback", "text/html"),
    ("/access_token", &["GET", "POST"], "Turn an authorized request token into an access token", FORM),
    ("/revoke", &["POST"], "Revoke the access token that signs the request", FORM),
];

const FORM: &str = "application/x-www-form-urlencoded";

fn problem() -> Value {
    json!({ FORM: { "schema": { "type": "string" } }, "application/json": { "schema": { "type": "object" } } })
}

fn add(paths: &mut Map<String, Value>, path: String, method: &str, operation: Value) {
    if let Value::Object(methods) = paths.entry(path).or_insert_with(|| json!({})) {
        methods.insert(method.to_lowercase(), operation);
    }
}

fn described(operation: &Operation) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    if let Some((name, _)) = operation.path.split_once('{').and_then(|(_, rest)| rest.split_once('}')) {
        parameters.push(json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }));
    }
    parameters.extend(operation.query.iter().map(|(name, about)| {
        let kind = if ["limit", "before"].contains(name) { "integer" } else { "string" };
        // What narrows a list may be left out.
        let required = !operation.many;
        json!({ "name": name, "in": "query", "required": required, "description": about, "schema": { "type": kind } })
    }));
    let scope = if operation.method == "GET" { "manage:read" } else { "manage:write" };
    let mut described = json!({
        "tags": [operation.path.split('/').nth(3).unwrap_or_default()],
        "operationId": name_of(&format!("{:?}", operation.action)),
        "summary": operation.summary,
        "description": format!("Needs the scope {scope}."),
        "parameters": parameters,
        "responses": { operation.status.to_string(): success(operation), "default": failure() },
    });
    if !operation.fields.is_empty()
        && let Value::Object(members) = &mut described
    {
        members.insert("requestBody".to_owned(), body(operation));
    }
    described
}

/// `ListAccounts` → `listAccounts`; `get /oauth/request_token` → `get_oauth_request_token`.
fn name_of(text: &str) -> String {
    let name = text.replace(['/', ' '], "_").replace("__", "_");
    let mut letters = name.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}", first.to_ascii_lowercase(), letters.as_str()))
}

fn success(operation: &Operation) -> Value {
    if operation.answers.is_empty() {
        return json!({ "description": "Done" });
    }
    let one = json!({ "$ref": format!("#/components/schemas/{}", operation.answers) });
    let schema = if operation.many { json!({ "type": "array", "items": one }) } else { one };
    json!({ "description": "Done", "content": { "application/json": { "schema": schema } } })
}

fn failure() -> Value {
    json!({
        "description": "Nothing was done",
        "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Failure" } } },
    })
}

fn body(operation: &Operation) -> Value {
    let fields = operation.fields;
    let properties: Map<String, Value> = fields
        .iter()
        .map(|field| {
            let may_be_null = field.kind == Kind::NullableText || operation.takes_null_as_absent(field);
            let kind = |name: &str| if may_be_null { json!([name, "null"]) } else { json!(name) };
            let mut schema = match field.kind {
                Kind::Text | Kind::NullableText => json!({ "type": kind("string") }),
                Kind::Texts => json!({ "type": kind("array"), "items": { "type": "string" } }),
                Kind::Seconds => json!({ "type": kind("integer"), "minimum": 0, "maximum": u32::MAX }),
                Kind::Switch => json!({ "type": kind("boolean") }),
            };
            if let Value::Object(members) = &mut schema {
                members.insert("description".to_owned(), field.about.into());
            }
            (field.name.to_owned(), schema)
        })
        .collect();
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({
        "required": !required.is_empty(),
        "content": { "application/json": { "schema": {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": false,
        } } },
    })
}

fn me() -> Value {
    json!({
        "tags": ["identity"],
        "operationId": "me",
        "security": [{ "oauth1": [] }, { "basic": [] }, { "digest": [] }, { "bearer": [] }],
        "summary": "The caller's identity; with any method, also at /v2",
        "responses": {
            "200": {
                "description": "Who calls, for which account, with which scopes",
                "content": { "application/json": { "schema": { "type": "object", "properties": {
                    "status": { "type": "integer" },
                    "account": { "type": "object" },
                    "user": { "type": "object" },
                    "external_id": { "type": ["string", "null"] },
                    "company": { "type": ["string", "null"] },
                    "client": { "type": ["object", "null"] },
                    "credential": { "type": "string" },
                    "scopes": { "type": "array", "items": { "type": "string" } },
                    "impersonated_by": { "type": ["string", "null"] },
                } } } },
            },
            "default": failure(),
        },
    })
}

fn jwt() -> Value {
    json!({
        "tags": ["identity"],
        "operationId": "issueToken",
        "summary": "Get a JSON Web Token for a password or an API key, by Basic or by this body",
        "security": [{ "basic": [] }, {}],
        "requestBody": { "required": false, "content": { "application/json": { "schema": {
            "type": "object",
            "properties": { "username": { "type": "string" }, "password": { "type": "string" } },
            "required": ["username", "password"],
        } } } },
        "responses": {
            "200": {
                "description": "The token",
                "content": { "application/json": { "schema": { "type": "object", "properties": {
                    "token": { "type": "string" },
                    "token_type": { "const": "Bearer" },
                    "expires_in": { "type": "integer", "description": "Seconds" },
                } } } },
            },
            "default": failure(),
        },
    })
}

/// The fields of each shape: `?` stands for one that may be null or absent, `[]` for texts, `#` for a number.
const SHAPES: &[(&str, &str)] = &[
    ("Account", "id username company? role scopes[] name email? external_id? status reason? created_at"),
    ("Company", "id name created_at"),
    (
        "Client",
        "client_key client_secret? owner name callbacks[] scopes[] signature_methods[] rsa_public_key? http_auth! status suspended!? created_at \
         previous_secret_until? active_tokens# last_used_at?",
    ),
    (
        "Key",
        "public_key private_key? name username scopes[] hint status impersonated_by? expires_at? created_at \
         last_used_at?",
    ),
    (
        "Token",
        "id hint username client_key client_name scopes[] status created_at expires_at? revoked_at? last_used_at?",
    ),
    ("Grant", "id username client_key client_name scopes[] active_tokens# created_at last_used_at?"),
    ("Audit", "id# created_at event actor subject account? company? client_key? detail? address?"),
    ("Failure", "status# code message additional reference errors?"),
];

fn schemas() -> Value {
    let shapes = SHAPES.iter().map(|(name, fields)| {
        let properties: Map<String, Value> = fields.split_whitespace().map(property).collect();
        ((*name).to_owned(), json!({ "type": "object", "properties": properties }))
    });
    Value::Object(shapes.collect())
}

fn property(field: &str) -> (String, Value) {
    let name = field.trim_end_matches(['?', '#', '!', '[', ']']);
    let schema = match field.chars().last() {
        Some('?') if field.ends_with("!?") => json!({ "type": ["boolean", "null"] }),
        Some('?') => json!({ "type": ["string", "null"] }),
        Some('#') => json!({ "type": "integer" }),
        Some('!') => json!({ "type": "boolean" }),
        Some(']') => json!({ "type": "array", "items": { "type": "string" } }),
        _ => json!({ "type": "string" }),
    };
    (name.to_owned(), schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_operation_is_described_under_its_own_name() {
        let document: Value = serde_json::from_str(&description("/_own", &["/oauth"])).unwrap();
        for operation in OPERATIONS {
            let described = &document["paths"][format!("/_own{}", operation.path)][operation.method.to_lowercase()];
            assert_eq!(described["summary"], operation.summary);
            let shape = operation.answers;
            assert!(shape.is_empty() || document["components"]["schemas"][shape].is_object(), "{shape}");
        }
        let paths = document["paths"].as_object().unwrap().values();
        let mut ids: Vec<&str> = paths
            .flat_map(|methods| methods.as_object().unwrap().values())
            .map(|operation| operation["operationId"].as_str().unwrap())
            .collect();
        ids.sort_unstable();
        let all = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), all);
        assert!(all > OPERATIONS.len());
    }

    #[test]
    fn the_operations_of_a_path_stand_together() {
        let mut paths: Vec<&str> = OPERATIONS.iter().map(|operation| operation.path).collect();
        paths.dedup();
        let neighbours = paths.len();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), neighbours);
    }
}
