//! Outputs that are set through the API: what they may be, and where they must not lead.

use axum::body::to_bytes;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::access::Offline;

/// The answer to a call: its status, and the sentence of its error.
async fn call(server: &Offline, method: &str, path: &str, body: &Value) -> (StatusCode, Value) {
    let headers = [("content-type", "application/json")];
    let answer = server
        .call(
            method,
            &format!("/api/v1/outputs{path}"),
            &headers,
            body.to_string().as_bytes(),
        )
        .await;
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn names(server: &Offline) -> Vec<(String, String)> {
    let (_, outputs) = call(server, "GET", "", &Value::Null).await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let outputs = outputs.as_array().unwrap().iter();
    outputs
        .map(|output| (text(&output["name"]), text(&output["set_in"])))
        .collect()
}

#[tokio::test]
async fn a_webhook_is_set_changed_and_removed() {
    let server = Offline::new(None, "127.0.0.1:8080").await;
    let pair = |name: &str, place: &str| (name.to_owned(), place.to_owned());
    let archive = pair("archive", "file");
    assert_eq!(names(&server).await, std::slice::from_ref(&archive));
    let table = json!({"type": "webhook", "url": "https://hooks.example/tulip", "min-severity": "high"});
    let (status, info) = call(&server, "PUT", "/chat", &table).await;
    assert_eq!(
        (status, &info["set_in"]),
        (StatusCode::OK, &json!("api")),
        "{info}"
    );
    let wrong = json!({"type": "webhook", "url": "https://hooks.example/tulip", "batch": 0});
    let (status, problem) = call(&server, "PUT", "/chat", &wrong).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{problem}");
    assert!(
        server.outputs_set().contains("tulip"),
        "what was refused has changed nothing"
    );
    let other = json!({"type": "webhook", "url": "https://hooks.example/rose", "format": "slack"});
    let (status, _) = call(&server, "PUT", "/chat", &other).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(names(&server).await, [archive.clone(), pair("chat", "api")]);
    let set = server.outputs_set();
    assert!(set.contains("rose") && !set.contains("tulip"), "{set}");
    for (method, body) in [("PUT", &table), ("DELETE", &Value::Null)] {
        let (status, problem) = call(&server, method, "/archive", body).await;
        let detail = problem["detail"].as_str().unwrap();
        assert_eq!(status, StatusCode::CONFLICT);
        assert!(
            detail.contains("`[output.archive]` stands in the settings file"),
            "{detail}"
        );
    }
    let (status, _) = call(&server, "DELETE", "/chat", &Value::Null).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    let (status, _) = call(&server, "DELETE", "/chat", &Value::Null).await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert_eq!(names(&server).await, [archive]);
    assert!(!server.outputs_set().contains("rose"));
}

#[tokio::test]
async fn there_are_not_too_many() {
    let server = Offline::new(None, "127.0.0.1:8080").await;
    let table = json!({"type": "webhook", "url": "https://hooks.example/a"});
    for number in 0..32 {
        let (status, _) = call(&server, "PUT", &format!("/chat-{number}"), &table).await;
        assert_eq!(status, StatusCode::OK);
    }
    let (status, problem) = call(&server, "PUT", "/chat-32", &table).await;
    assert_eq!(status, StatusCode::CONFLICT, "{problem}");
    let (status, _) = call(&server, "PUT", "/chat-31", &table).await;
    assert_eq!(status, StatusCode::OK, "one that is there can be changed");
}

#[tokio::test]
async fn what_must_not_be_reached_is_refused_in_a_sentence() {
    let server = Offline::new(None, "127.0.0.1:8080").await;
    let webhook = |url: &str| json!({"type": "webhook", "url": url});
    let refused = [
        (webhook("http://127.0.0.1:8080/api/v1/alerts"), "loopback"),
        (webhook("http://127.1/"), "loopback"),
        (webhook("http://2130706433/"), "loopback"),
        (webhook("http://0x7f.0.0.1/"), "loopback"),
        (webhook("http://0177.0.0.1/"), "loopback"),
        (webhook("http://[::1]/"), "loopback"),
        (webhook("http://[::ffff:127.0.0.1]/"), "loopback"),
        (webhook("http://[::ffff:a9fe:a9fe]/"), "link-local"),
        (webhook("http://[64:ff9b::7f00:1]/"), "loopback"),
        (webhook("http://[2002:7f00:1::]/"), "loopback"),
        (webhook("http://169.254.169.254/latest/meta-data"), "link-local"),
        (webhook("http://[fe80::1]/"), "link-local"),
        (webhook("http://10.0.0.1/"), "private"),
        (webhook("http://192.168.1.1/"), "private"),
        (webhook("http://[fd00::1]/"), "private"),
        (webhook("http://0.0.0.0/"), "of this host"),
        (webhook("http://224.0.0.1/"), "multicast"),
        (
            webhook("https://user:tulip@hooks.example/"),
            "holds a user or a password",
        ),
        (webhook("file:///etc/passwd"), "only http and https"),
        (webhook("tulip"), "not a URL"),
        (
            json!({"type": "webhook", "url-file": "/etc/hostname"}),
            "only files in the folder for its secrets",
        ),
        (
            json!({"type": "webhook", "url": "https://hooks.example/", "secret-file": "/etc/hostname"}),
            "only files in the folder for its secrets",
        ),
        (
            json!({"type": "file", "path": "/tmp/tulip"}),
            "an output to a file stands in the settings file alone",
        ),
        (json!({"type": "smoke"}), "must be one of"),
        (json!({"type": "webhook", "uri": "tulip"}), "unknown field `uri`"),
        (json!({"type": null}), "no `null`"),
    ];
    for (table, expected) in refused {
        let (status, problem) = call(&server, "PUT", "/chat", &table).await;
        let detail = problem["detail"].as_str().unwrap_or_default();
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{table}: {detail}");
        assert!(detail.contains(expected), "{table}: {detail}");
        assert!(
            !detail.contains("tulip") && !detail.contains("meta-data"),
            "{detail}"
        );
    }
    assert_eq!(server.outputs_set(), "");
    let (status, _) = call(&server, "PUT", "/chat", &webhook("http://10.20.1.1/")).await;
    assert_eq!(status, StatusCode::OK, "the settings file allows this network");
    // What a name leads to is seen when it is looked up.
    let (status, _) = call(&server, "PUT", "/chat", &webhook("http://localhost:9/")).await;
    assert_eq!(status, StatusCode::OK);
    let (_, answer) = call(&server, "POST", "/chat/test", &Value::Null).await;
    let reason = answer["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("loopback"), "{answer}");
}
