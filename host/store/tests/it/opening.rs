//! Stores that cannot be opened say why.

use std::time::{Duration, Instant};

use mongodb::bson::{Document, doc};
use netsage_store::{StoreError, open};
use tempfile::TempDir;

use netsage_testkit::backends::mongodb;
use netsage_testkit::sample::traffic;

use crate::suite::{all_flows, record};

async fn refused(url: &str) -> StoreError {
    match open(url).await {
        Ok(_) => panic!("{url} was opened"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn what_is_no_store_is_refused_with_a_reason() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();

    assert!(
        matches!(refused("postgres://h/d").await, StoreError::UnknownScheme { scheme } if scheme == "postgres")
    );
    assert!(matches!(refused("mongodb://").await, StoreError::BadUrl { .. }));
    assert!(matches!(
        refused(&path("no/such/folder/a.db")).await,
        StoreError::CannotOpen { .. }
    ));

    let text = path("text.db");
    std::fs::write(&text, "This is not a database. ".repeat(100)).expect("written");
    assert!(matches!(refused(&text).await, StoreError::NotADatabase { .. }));
    assert!(
        std::fs::read_to_string(&text)
            .expect("still text")
            .starts_with("This is not")
    );

    let other = path("other.db");
    rusqlite::Connection::open(&other)
        .expect("made")
        .execute_batch("CREATE TABLE t (x)")
        .expect("a table");
    assert!(matches!(refused(&other).await, StoreError::Foreign { .. }));

    let newer = path("newer.db");
    drop(open(&newer).await.expect("made"));
    rusqlite::Connection::open(&newer)
        .expect("opens")
        .execute_batch("PRAGMA user_version = 999; CREATE TABLE later (x)")
        .expect("set");
    assert!(matches!(
        refused(&newer).await,
        StoreError::Newer { found: 999, .. }
    ));
    rusqlite::Connection::open(&newer)
        .expect("opens")
        .pragma_update(None, "user_version", 3)
        .expect("set");
    let error = refused(&newer).await;
    assert!(matches!(error, StoreError::Older { found: 3, .. }), "{error}");
    assert!(error.to_string().contains("move it away"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr)]
async fn a_database_of_another_version_is_refused() {
    let place = match mongodb() {
        Ok(place) => place,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    drop(place.open().await);
    let client = mongodb::Client::with_uri_str(&place.url).await.expect("a client");
    let meta = client
        .default_database()
        .expect("the URL names one")
        .collection::<Document>("meta");
    for (version, newer) in [(1_i64, false), (999, true)] {
        meta.update_one(doc! { "_id": "schema" }, doc! { "$set": { "version": version } })
            .await
            .expect("set");
        match refused(&place.url).await {
            StoreError::Newer { found, .. } => assert!(newer && found == version),
            StoreError::Older { found, .. } => assert!(!newer && found == version),
            other => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr)]
async fn programs_that_make_a_database_at_one_moment_all_open_it() {
    for _ in 0..4 {
        let place = match mongodb() {
            Ok(place) => place,
            Err(reason) => return eprintln!("skipped: {reason}"),
        };
        let mut openings = tokio::task::JoinSet::new();
        for _ in 0..8 {
            let url = place.url.clone();
            openings.spawn(async move { open(&url).await.map(drop) });
        }
        while let Some(opened) = openings.join_next().await {
            opened.expect("no panic").expect("the store opens");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr)]
async fn a_replica_set_is_opened_by_its_name() {
    let place = match mongodb() {
        Ok(place) => place,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let client = mongodb::Client::with_uri_str(&place.url).await.expect("a client");
    let database = client.database("admin");
    let hello = database
        .run_command(doc! { "hello": 1 })
        .await
        .expect("an answer");
    let Ok(name) = hello.get_str("setName") else {
        return eprintln!("skipped: the server is of no replica set");
    };
    let store = open(&format!("{}?replicaSet={name}", place.url))
        .await
        .expect("opens");
    record(&store, &traffic(0, 10)).await;
    assert_eq!(all_flows(&store).await.len(), 10);
    let other = format!("{}?replicaSet=of-another-name", place.url);
    assert!(matches!(refused(&other).await, StoreError::Unreachable { .. }));
}

#[tokio::test]
async fn a_silent_server_is_given_up_and_no_password_is_shown() {
    // Bound and dropped: nothing listens there.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .expect("a port")
        .port();
    let start = Instant::now();
    let error = refused(&format!("mongodb://me:secret@127.0.0.1:{port}/d")).await;
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(15), "{:?}", start.elapsed());
}
