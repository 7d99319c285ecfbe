//! What several gateways forward to one central is what one program sees.

use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::forward::{run, start};
use super::support::{Home, PATIENCE, Server, packages_built};

/// How each program scores and stores.
const USUAL: &str = "--detector iforest-record-v1 --store store.sqlite --data-dir data";
/// Records of all gateways together.
const ODD: u64 = 3_000;

/// Records whose flows are odd now and then.
fn odd(number: u64) -> String {
    let end_us = 1_767_603_600_000_000 + number * 20_000;
    let start_us = end_us - number % 11 * 90_000;
    let (packets, bytes) = match number % 50 {
        7 => (4_000_000, 5_000_000_000_u64),
        _ => (9 + number % 5, 989 + number % 400),
    };
    format!(
        "{{\"start_us\":{start_us},\"end_us\":{end_us},\"source\":\"10.0.0.{}\",\"destination\":\"192.0.2.{}\",\
         \"source_port\":{},\"destination_port\":{},\"protocol\":\"tcp\",\"service\":\"tls\",\"state\":\"closed\",\
         \"source_packets\":{packets},\"destination_packets\":11,\"source_bytes\":{bytes},\"destination_bytes\":4580,\
         \"uid\":\"C{number}\"}}\n",
        number % 17,
        number % 7,
        1_024 + number,
        [443, 80, 22][number as usize % 3]
    )
}

/// One that ends longer after the others than these wait for more, and not so much later that it needs another one to be believed.
fn far_behind() -> String {
    let time_us = 1_767_603_600_000_000_u64 + 1_200_000_000;
    format!(
        "{{\"start_us\":{time_us},\"end_us\":{time_us},\"source\":\"10.9.9.9\",\"destination\":\"192.0.2.1\",\"protocol\":\"udp\"}}\n"
    )
}

/// The alerts of a program, but for what says by which sensor.
fn alerts(server: &Server) -> Vec<Value> {
    let mut alerts = server.all("/api/v1/alerts");
    for alert in &mut alerts {
        alert.as_object_mut().unwrap().remove("sensor");
    }
    alerts.sort_by_key(|alert| alert["id"].as_str().unwrap().to_owned());
    alerts
}

fn alerts_of_one_program() -> Vec<Value> {
    let home = Home::new();
    home.file("flows.json", (0..ODD).map(odd).collect::<String>().as_bytes());
    let mut server = start(&home, &format!("--records flows.json --network office {USUAL}"));
    server.wait_until_finished();
    let alerts = alerts(&server);
    assert!(alerts.len() > 3, "{alerts:?}");
    server.kill_now();
    server.wait_for_end();
    alerts
}

/// Three gateways, each with a third of the records, forward to `to`, one after the other.
fn forward_by_three(to: &str) {
    let homes: Vec<Home> = (0..3).map(|_| Home::new()).collect();
    for (number, home) in (0..).zip(&homes) {
        let lines = (0..ODD).filter(|line| line % 3 == number).map(odd);
        home.file("flows.json", lines.collect::<String>().as_bytes());
        // One of them scores by itself, which changes nothing at the central.
        let scores = match number {
            0 => "--detector iforest-record-v1",
            _ => "--no-score",
        };
        let site = format!("--network office --sensor tap-{number}");
        run(
            home,
            &format!("--records flows.json --exit-when-done --data-dir data {site} {scores} --forward {to}"),
        );
    }
}

fn check_alerts(central: &Server, expected: &[Value]) {
    let begin = Instant::now();
    loop {
        let found = alerts(central);
        if found == expected {
            return;
        }
        assert!(
            begin.elapsed() < PATIENCE,
            "{found:#?} in place of {expected:#?}; {:#}",
            central.health()
        );
        thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn three_gateways_and_a_central_raise_the_alerts_of_one_program() {
    if !packages_built() {
        return;
    }
    let expected = alerts_of_one_program();
    let home = Home::new();
    let central = start(&home, &format!("--inbox 64MiB --lateness 600s {USUAL}"));
    forward_by_three(&format!("{}/api/v1/flows", central.base));
    let (status, answer) = central.post("/api/v1/flows", far_behind().as_bytes(), &[]);
    assert_eq!(status, 202, "{answer}");
    check_alerts(&central, &expected);

    #[cfg(feature = "kafka")]
    if let Some(broker) = super::kafka::broker() {
        let topic = broker.topic("office", 1);
        let address = broker.address();
        forward_by_three(&format!("kafka://{address}/{topic}"));
        broker.produce(&topic, &[], [(0, Some(far_behind().into_bytes()))]);
        let home = Home::new();
        let source = format!("--kafka {address} --topic {topic} --lateness 600s");
        check_alerts(&start(&home, &format!("{source} {USUAL}")), &expected);
    }
}
