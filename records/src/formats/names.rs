//! Names of protocols, services and ports.

use std::str;

use netsage_schema::unsw_nb15::SERVICE;

/// Numbers of IP protocols that formats treat in a way of their own.
pub(super) mod protocol {
    pub(in crate::formats) use netsage_schema::protocol::{ARP, ICMP, ICMPV6, TCP, UDP};

    pub(in crate::formats) const DCCP: u8 = 33;
    pub(in crate::formats) const SCTP: u8 = 132;
    pub(in crate::formats) const UDP_LITE: u8 = 136;
}

/// Whether flows of a protocol have ports.
pub(super) fn has_ports(number: u8) -> bool {
    matches!(
        number,
        protocol::TCP | protocol::UDP | protocol::SCTP | protocol::DCCP | protocol::UDP_LITE
    )
}

/// Whether ports stand for type and code.
pub(super) fn is_icmp(number: u8) -> bool {
    matches!(number, protocol::ICMP | protocol::ICMPV6)
}

/// Names by which meters call protocols beside those of [`netsage_schema::protocol`], in small letters.
#[rustfmt::skip]
const PROTOCOLS: &[(&str, u8)] = &[
    ("icmp6", 58), ("icmpv6", 58), ("hopopt", 0), ("ipv4", 4), ("ipencap", 4), ("dccp", 33), ("ipv6-nonxt", 59),
    ("rspf", 73), ("ospfigp", 89), ("mobility-header", 135), ("ethernet", 143),
    // What Argus finds within UDP.
    ("rtp", 17), ("rtcp", 17),
];

/// The number of an IP protocol by its name, in capital or small letters, or by its number as text.
pub(super) fn protocol_number(text: &[u8]) -> Option<u8> {
    let text = str::from_utf8(text).ok()?;
    let is_name = |name: &str| name.eq_ignore_ascii_case(text);
    let frequent = [protocol::TCP, protocol::UDP, protocol::ICMP, protocol::ICMPV6];
    let known = frequent.into_iter().chain(0..protocol::ARP);
    let number = if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().ok()?
    } else if is_name(UNNAMED) {
        return None;
    } else {
        let alias = || {
            PROTOCOLS
                .iter()
                .find(|(name, _)| is_name(name))
                .map(|(_, number)| *number)
        };
        known
            .into_iter()
            .find(|number| is_name(netsage_schema::protocol::name(*number)))
            .or_else(alias)?
    };
    // The number that stands for ARP is no protocol of IP.
    (number != protocol::ARP).then_some(number)
}

/// What numbers without a name are called.
const UNNAMED: &str = "unas";

/// The code of `-` in the vocabulary: no service that it names.
pub(super) const UNKNOWN_SERVICE: u16 = 0;

/// The code of the service that a meter names. Some name several with commas between, from the outer to the inner one, or
/// with a `-` before those that they then took back; the first that the vocabulary has is meant.
pub(super) fn service_code(text: &[u8]) -> u16 {
    text.split(|&byte| byte == b',')
        .find_map(|name| {
            let name = str::from_utf8(name.trim_ascii()).ok()?;
            let name = if name.eq_ignore_ascii_case("tls") {
                "ssl"
            } else {
                name
            };
            (SERVICE.terms.iter().zip(0..))
                .skip(1)
                .find_map(|(term, code)| term.eq_ignore_ascii_case(name).then_some(code))
        })
        .unwrap_or(UNKNOWN_SERVICE)
}

/// The number of a port by the name that systems have for it, of those that meters print in place of numbers.
pub(super) fn port_number(name: &[u8]) -> Option<u16> {
    let name = str::from_utf8(name).ok()?;
    let place = PORTS.binary_search_by_key(&name, |(name, _)| name).ok()?;
    PORTS.get(place).map(|(_, number)| *number)
}

/// Ports by name, sorted.
#[rustfmt::skip]
const PORTS: &[(&str, u16)] = &[
    ("acr-nema", 104), ("afpovertcp", 548), ("afs3-bos", 7007), ("afs3-callback", 7001),
    ("afs3-fileserver", 7000), ("afs3-kaserver", 7004), ("afs3-prserver", 7002), ("afs3-rmtsys", 7009),
    ("afs3-update", 7008), ("afs3-vlserver", 7003), ("afs3-volser", 7005), ("amanda", 10_080),
    ("amandaidx", 10_082), ("amidxtape", 10_083), ("amqp", 5672), ("amqps", 5671), ("asf-rmcp", 623),
    ("asp", 27_374), ("auth", 113), ("babel", 6696), ("bacula-dir", 9101), ("bacula-fd", 9102),
    ("bacula-sd", 9103), ("bbs", 7000), ("bgp", 179), ("bgpd", 2605), ("biff", 512), ("binkp", 24_554),
    ("bootpc", 68), ("bootps", 67), ("canna", 5680), ("cfengine", 5308), ("chargen", 19), ("cisco-sccp", 2000),
    ("clc-build-daemon", 8990), ("clearcase", 371), ("cmip-agent", 164), ("cmip-man", 163), ("codaauth2", 370),
    ("codasrv", 2432), ("codasrv-se", 2433), ("csync2", 30_865), ("cvspserver", 2401), ("daap", 3689),
    ("datametrics", 1645), ("daytime", 13), ("db-lsp", 17_500), ("dcap", 22_125), ("dhcpv6-client", 546),
    ("dhcpv6-server", 547), ("dicom", 11_112), ("dict", 2628), ("dircproxy", 57_000), ("discard", 9),
    ("distcc", 3632), ("domain", 53), ("domain-s", 853), ("echo", 7), ("epmap", 135), ("epmd", 4369),
    ("exec", 512), ("f5-globalsite", 2792), ("f5-iquery", 4353), ("fax", 4557), ("fido", 60_179),
    ("finger", 79), ("font-service", 7100), ("freeciv", 5556), ("fsp", 21), ("ftp", 21), ("ftp-data", 20),
    ("ftps", 990), ("ftps-data", 989), ("gdomap", 538), ("gds-db", 3050), ("git", 9418), ("gnunet", 2086),
    ("gnutella-rtr", 6347), ("gnutella-svc", 6346), ("gopher", 70), ("gpsd", 2947), ("gris", 2135),
    ("groupwise", 1677), ("gsidcap", 22_128), ("gsiftp", 2811), ("gsigatekeeper", 2119), ("hkp", 11_371),
    ("http", 80), ("http-alt", 8080), ("https", 443), ("hylafax", 4559), ("iax", 4569), ("icpv2", 3130),
    ("imap2", 143), ("imaps", 993), ("ingreslock", 1524), ("ipp", 631), ("iprop", 2121), ("ipsec-nat-t", 4500),
    ("ipx", 213), ("ircd", 6667), ("ircs-u", 6697), ("isakmp", 500), ("iscsi-target", 3260), ("isisd", 2608),
    ("isns", 3205), ("iso-tsap", 102), ("kamanda", 10_081), ("kerberos", 88), ("kerberos-adm", 749),
    ("kerberos-master", 751), ("kerberos4", 750), ("kermit", 1649), ("klogin", 543), ("kpasswd", 464),
    ("krb-prop", 754), ("kshell", 544), ("l2f", 1701), ("ldap", 389), ("ldaps", 636), ("ldp", 646),
    ("login", 513), ("lotusnote", 1352), ("mailq", 174), ("mdns", 5353), ("microsoft-ds", 445),
    ("moira-db", 775), ("moira-update", 777), ("moira-ureg", 779), ("mon", 2583), ("ms-sql-m", 1434),
    ("ms-sql-s", 1433), ("ms-wbt-server", 3389), ("mtn", 4691), ("munin", 4949), ("mysql", 3306),
    ("mysql-proxy", 6446), ("nbd", 10_809), ("netbios-dgm", 138), ("netbios-ns", 137), ("netbios-ssn", 139),
    ("netstat", 15), ("nfs", 2049), ("nntp", 119), ("nntps", 563), ("nqs", 607), ("nrpe", 5666), ("nsca", 5667),
    ("ntalk", 518), ("ntp", 123), ("ntske", 4460), ("nut", 3493), ("omniorb", 8088), ("openvpn", 1194),
    ("ospf6d", 2606), ("ospfapi", 2607), ("ospfd", 2604), ("passwd-server", 752), ("pawserv", 345),
    ("pop3", 110), ("pop3s", 995), ("poppassd", 106), ("postgresql", 5432), ("predict", 1210), ("printer", 515),
    ("proofd", 1093), ("ptp-event", 319), ("ptp-general", 320), ("puppet", 8140), ("qmqp", 628), ("qmtp", 209),
    ("qotd", 17), ("radius", 1812), ("radius-acct", 1813), ("radmin-port", 4899), ("redis", 6379),
    ("remctl", 4373), ("ripd", 2602), ("ripngd", 2603), ("rmiregistry", 1099), ("rmtcfg", 1236),
    ("rootd", 1094), ("route", 520), ("rpc2portmap", 369), ("rplay", 5555), ("rsync", 873),
    ("rtcm-sc104", 2101), ("rtsp", 554), ("sa-msg-port", 1646), ("saft", 487), ("sane-port", 6566),
    ("sge-execd", 6445), ("sge-qmaster", 6444), ("sgi-cad", 17_004), ("sgi-cmsd", 17_001), ("sgi-crsd", 17_002),
    ("sgi-gcd", 17_003), ("shell", 514), ("sieve", 4190), ("silc", 706), ("sip", 5060), ("sip-tls", 5061),
    ("skkserv", 1178), ("smtp", 25), ("smux", 199), ("snmp", 161), ("snmp-trap", 162), ("snpp", 444),
    ("socks", 1080), ("spamd", 783), ("ssh", 22), ("submission", 587), ("submissions", 465), ("sunrpc", 111),
    ("supfiledbg", 1127), ("supfilesrv", 871), ("suucp", 4031), ("svn", 3690), ("svrloc", 427), ("syslog", 514),
    ("syslog-tls", 6514), ("sysrqd", 4094), ("systat", 11), ("tacacs", 49), ("talk", 517), ("tcpmux", 1),
    ("telnet", 23), ("telnets", 992), ("tfido", 60_177), ("tftp", 69), ("time", 37), ("tinc", 655),
    ("tproxy", 8081), ("uucp", 540), ("venus", 2430), ("venus-se", 2431), ("webmin", 10_000), ("who", 513),
    ("whois", 43), ("wnn6", 22_273), ("x11", 6000), ("x11-1", 6001), ("x11-2", 6002), ("x11-3", 6003),
    ("x11-4", 6004), ("x11-5", 6005), ("x11-6", 6006), ("x11-7", 6007), ("xdmcp", 177), ("xinetd", 9098),
    ("xmms2", 9667), ("xmpp-client", 5222), ("xmpp-server", 5269), ("xtel", 1313), ("xtelw", 1314),
    ("z3950", 210), ("zabbix-agent", 10_050), ("zabbix-trapper", 10_051), ("zebra", 2601), ("zebrasrv", 2600),
    ("zephyr-clt", 2103), ("zephyr-hm", 2104), ("zephyr-srv", 2102), ("zope", 9673), ("zope-ftp", 8021),
    ("zserv", 346),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_have_numbers() {
        let check = |text: &str, expected: Option<u8>| {
            assert_eq!(protocol_number(text.as_bytes()), expected, "{text}");
        };
        check("tcp", Some(6));
        check("UDP", Some(17));
        check("IPv6-ICMP", Some(58));
        check("rtp", Some(17));
        check("GRE", Some(47));
        check("xns-idp", Some(22));
        check("47", Some(47));
        check("002", Some(2));
        for wrong in [
            "",
            "255",
            "256",
            "-1",
            "+6",
            "llc",
            "man",
            "arp",
            "unknown_transport",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn services_are_terms_of_the_vocabulary() {
        let check = |text: &str, expected: &str| {
            assert_eq!(
                SERVICE.term(service_code(text.as_bytes())),
                Some(expected),
                "{text}"
            );
        };
        check("dns", "dns");
        check("HTTP", "http");
        check("tls", "ssl");
        check("ftp-data", "ftp-data");
        check("gssapi,smb,ssl", "ssl");
        check("-http,smtp", "smtp");
        for unknown in ["", "-", "ntp", "failed", "quic", "-ssl"] {
            check(unknown, "-");
        }
    }

    #[test]
    fn ports_are_sorted_by_name_and_found() {
        assert!(PORTS.is_sorted_by(|one, other| one.0 < other.0));
        let check = |name: &str, expected: Option<u16>| {
            assert_eq!(port_number(name.as_bytes()), expected, "{name}");
        };
        check("http", Some(80));
        check("domain", Some(53));
        check("https", Some(443));
        check("bootps", Some(67));
        check("netbios-ns", Some(137));
        check("xmpp-client", Some(5_222));
        check("no-such-service", None);
        check("", None);
    }
}
