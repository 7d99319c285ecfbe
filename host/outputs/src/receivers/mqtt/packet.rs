//! What passes between this client and its broker, in both versions of the protocol. The bytes are written and read by
//! `rumqttc`; here is only what an output needs of them.

use bytes::BytesMut;
use rumqttc::mqttbytes as v4;
use rumqttc::v5::mqttbytes as v5;

use crate::Failure;

/// Most bytes of an answer: a client that subscribes to nothing gets nothing long.
const LONGEST_ANSWER: u32 = 64 << 10;

/// A version of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V311,
    V5,
}

/// User and password.
#[derive(Clone)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

/// How a client introduces itself.
pub(super) struct Hello<'a> {
    pub(super) client_id: &'a str,
    pub(super) keep_alive_s: u16,
    pub(super) login: Option<Login>,
    /// What the broker publishes, and keeps, when the client is gone without a word.
    pub(super) will: (&'a str, &'a str),
}

/// Something to be published with the promise that the broker says when it has it (QoS 1).
#[derive(Debug, Clone)]
pub(super) struct Publication {
    pub(super) topic: String,
    pub(super) payload: Vec<u8>,
    /// Whether the broker keeps it for those who come later.
    pub(super) is_retained: bool,
    /// What stands beside it where the version has room for that.
    pub(super) properties: Vec<(String, String)>,
    /// What the payload is, as HTTP would say.
    pub(super) content_type: &'static str,
}

/// What a broker says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It takes the client.
    Welcome {
        /// Most bytes of a packet that it takes.
        largest: Option<u32>,
        /// Most publications that it takes before it has answered the first.
        most_under_way: Option<u16>,
    },
    /// It does not take the client, or not any longer.
    Refusal(Failure),
    /// What has become of a publication.
    Published(u16, Result<(), Failure>),
    /// It is there, or says what is no concern of an output.
    Other,
}

impl Version {
    /// Writes the first packet.
    pub(super) fn hello(self, hello: Hello<'_>, buffer: &mut BytesMut) -> Result<(), String> {
        let Hello {
            client_id,
            keep_alive_s,
            login,
            will: (topic, payload),
        } = hello;
        match self {
            Self::V311 => {
                let mut connect = v4::v4::Connect::new(client_id);
                connect.keep_alive = keep_alive_s;
                connect.clean_session = false;
                connect.last_will = Some(v4::v4::LastWill::new(topic, payload, v4::QoS::AtLeastOnce, true));
                connect.login = login.map(|login| v4::v4::Login::new(login.user, login.password));
                written(connect.write(buffer))
            }
            Self::V5 => {
                let properties = v5::v5::ConnectProperties {
                    // A session of a client that subscribes to nothing holds nothing; an hour is for the broker's log.
                    session_expiry_interval: Some(3_600),
                    max_packet_size: Some(LONGEST_ANSWER),
                    ..v5::v5::ConnectProperties::new()
                };
                let connect = v5::v5::Connect {
                    keep_alive: keep_alive_s,
                    client_id: client_id.to_owned(),
                    clean_start: false,
                    properties: Some(properties),
                };
                let will = v5::v5::LastWill::new(topic, payload, v5::QoS::AtLeastOnce, true, None);
                let login = login.map(|login| v5::v5::Login::new(login.user, login.password));
                written(connect.write(&Some(will), &login, buffer))
            }
        }
    }

    /// Writes a publication under this number.
    pub(super) fn publish(
        self,
        publication: Publication,
        number: u16,
        buffer: &mut BytesMut,
    ) -> Result<(), String> {
        let Publication {
            topic,
            payload,
            is_retained,
            properties,
            content_type,
        } = publication;
        match self {
            Self::V311 => {
                let mut publish = v4::v4::Publish::new(topic, v4::QoS::AtLeastOnce, payload);
                publish.retain = is_retained;
                publish.pkid = number;
                written(publish.write(buffer))
            }
            Self::V5 => {
                let properties = v5::v5::PublishProperties {
                    payload_format_indicator: Some(1),
                    user_properties: properties,
                    content_type: Some(content_type.to_owned()),
                    ..v5::v5::PublishProperties::default()
                };
                let mut publish =
                    v5::v5::Publish::new(topic, v5::QoS::AtLeastOnce, payload, Some(properties));
                publish.retain = is_retained;
                publish.pkid = number;
                written(publish.write(buffer))
            }
        }
    }

    /// Writes what a broker answers that is there.
    pub(super) fn ping(self, buffer: &mut BytesMut) -> Result<(), String> {
        match self {
            Self::V311 => written(v4::v4::PingReq.write(buffer)),
            Self::V5 => written(v5::v5::PingReq::write(buffer)),
        }
    }

    /// Writes the last packet, after which the broker does not publish the will.
    pub(super) fn goodbye(self, buffer: &mut BytesMut) -> Result<(), String> {
        match self {
            Self::V311 => written(v4::v4::Disconnect.write(buffer)),
            Self::V5 => {
                let reason = v5::v5::DisconnectReasonCode::NormalDisconnection;
                written(v5::v5::Disconnect::new(reason).write(buffer))
            }
        }
    }

    /// Takes an answer from what has come; `None` while it is not whole.
    pub(super) fn read(self, buffer: &mut BytesMut) -> Result<Option<Answer>, String> {
        match self {
            Self::V311 => match v4::v4::Packet::read(buffer, LONGEST_ANSWER as usize) {
                Ok(packet) => Ok(Some(of_v311(packet))),
                Err(v4::Error::InsufficientBytes(_)) => Ok(None),
                Err(error) => Err(error.to_string()),
            },
            Self::V5 => match v5::v5::Packet::read(buffer, Some(LONGEST_ANSWER)) {
                Ok(packet) => Ok(Some(of_v5(packet))),
                Err(v5::Error::InsufficientBytes(_)) => Ok(None),
                Err(error) => Err(error.to_string()),
            },
        }
    }
}

fn written<T, E: std::fmt::Display>(result: Result<T, E>) -> Result<(), String> {
    result.map(|_| ()).map_err(|error| error.to_string())
}

fn of_v311(packet: v4::v4::Packet) -> Answer {
    use v4::v4::{ConnectReturnCode, Packet};

    match packet {
        Packet::ConnAck(answer) => match answer.code {
            ConnectReturnCode::Success => Answer::Welcome {
                largest: None,
                most_under_way: None,
            },
            ConnectReturnCode::ServiceUnavailable => {
                Answer::Refusal(Failure::unavailable("the broker is busy"))
            }
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
                Answer::Refusal(wrong_login())
            }
            ConnectReturnCode::RefusedProtocolVersion => Answer::Refusal(wrong_version()),
            ConnectReturnCode::BadClientId => Answer::Refusal(wrong_id()),
        },
        Packet::PubAck(answer) => Answer::Published(answer.pkid, Ok(())),
        _ => Answer::Other,
    }
}

fn of_v5(packet: v5::v5::Packet) -> Answer {
    use v5::v5::{ConnectReturnCode, Packet};

    match packet {
        Packet::ConnAck(answer) => match answer.code {
            ConnectReturnCode::Success => Answer::Welcome {
                largest: (answer.properties.as_ref()).and_then(|properties| properties.max_packet_size),
                most_under_way: (answer.properties.as_ref()).and_then(|properties| properties.receive_max),
            },
            ConnectReturnCode::BadUserNamePassword
            | ConnectReturnCode::NotAuthorized
            | ConnectReturnCode::BadAuthenticationMethod
            | ConnectReturnCode::Banned => Answer::Refusal(wrong_login()),
            ConnectReturnCode::UnsupportedProtocolVersion => Answer::Refusal(wrong_version()),
            ConnectReturnCode::ClientIdentifierNotValid => Answer::Refusal(wrong_id()),
            code => Answer::Refusal(Failure::unavailable(format!("the broker answers {code:?}"))),
        },
        Packet::PubAck(answer) => Answer::Published(answer.pkid, outcome(answer.reason)),
        Packet::Disconnect(goodbye) => Answer::Refusal(Failure::unavailable(format!(
            "the broker ends the connection: {:?}",
            goodbye.reason_code
        ))),
        _ => Answer::Other,
    }
}

fn outcome(reason: v5::v5::PubAckReason) -> Result<(), Failure> {
    use v5::v5::PubAckReason;

    match reason {
        PubAckReason::Success | PubAckReason::NoMatchingSubscribers => Ok(()),
        PubAckReason::NotAuthorized => Err(Failure::SenderRefused(
            "this user may not publish there; allow the topics under `prefix`, or name another user"
                .to_owned(),
        )),
        PubAckReason::TopicNameInvalid | PubAckReason::PayloadFormatInvalid => {
            Err(Failure::Refused(format!("the broker answers {reason:?}")))
        }
        reason => Err(Failure::unavailable(format!("the broker answers {reason:?}"))),
    }
}

fn wrong_login() -> Failure {
    Failure::SenderRefused("the broker does not know this user; check `user` and `password-file`".to_owned())
}

fn wrong_version() -> Failure {
    Failure::SenderRefused(
        "the broker does not speak this version of MQTT; set `version` to the other one".to_owned(),
    )
}

fn wrong_id() -> Failure {
    Failure::SenderRefused("the broker does not take this client's id; set `client-id`".to_owned())
}
