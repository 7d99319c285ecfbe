//! The generated captures are what the documents call them.

use netsage_capture::file::CaptureReader;
use netsage_parity::cases;

#[test]
fn every_case_is_a_sound_capture_and_always_the_same() {
    for (case, again) in cases::all().iter().zip(cases::all()) {
        let (mut file, mut same) = (Vec::new(), Vec::new());
        case.write(&mut file).unwrap();
        again.write(&mut same).unwrap();
        assert!(file == same, "{}", case.name);
        let mut reader = CaptureReader::new(file.as_slice()).unwrap();
        let (mut packets, mut last_ns) = (0, 0);
        while let Some(packet) = reader.next_packet().unwrap() {
            assert!(packet.time_ns >= last_ns, "{}: out of order", case.name);
            last_ns = packet.time_ns;
            packets += 1;
        }
        assert!(packets > 1, "{}", case.name);
    }
}
