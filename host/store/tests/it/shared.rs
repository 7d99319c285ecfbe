//! What several programs on one server share.

use netsage_testkit::backends::{mongodb, sqlite};

#[tokio::test(flavor = "multi_thread")]
#[allow(clippy::print_stderr)]
async fn the_first_secret_is_that_of_all_programs() {
    let place = match mongodb() {
        Ok(place) => place,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let mut programs = tokio::task::JoinSet::new();
    for number in 0..8_u8 {
        let url = place.url.clone();
        programs.spawn(async move {
            let store = netsage_store::open(&url).await.expect("the store opens");
            let kept = store.shared_secret("a", &[number; 16]).await;
            kept.expect("kept").expect("a secret")
        });
    }
    let kept = programs.join_all().await;
    assert!(kept.windows(2).all(|pair| pair[0] == pair[1]), "{kept:?}");
    assert!((0..8).any(|number| kept[0] == [number; 16]), "{kept:?}");
    let store = place.open().await;
    let other = store.shared_secret("b", &[9; 16]).await.expect("kept");
    assert_eq!(other, Some(vec![9; 16]), "each name has its own");
}

#[tokio::test]
async fn a_file_keeps_no_secret() {
    let store = sqlite().open().await;
    assert_eq!(store.shared_secret("a", &[1; 16]).await.expect("no error"), None);
}
