//! How a finished record becomes a row of `unsw-nb15`.
//!
//! [`row`] computes what the record alone tells; [`window`] orders the records, cuts them into blocks and
//! fills in the seven counts. Every value is finite and 0 or more.

#[cfg_attr(
    not(test),
    expect(
        dead_code,
        unused_imports,
        reason = "the meter takes it when its core knows feature sets"
    )
)]
mod flow_v1;
mod names;
mod row;
mod window;

pub(crate) use row::row;
pub(crate) use window::{Pending, Window};

/// Columns of the schema.
pub(crate) const WIDTH: usize = 42;
/// A row of the schema.
pub(crate) type Row = [f64; WIDTH];

/// Positions of the columns that the window reads and writes.
pub(crate) mod position {
    pub(crate) const SERVICE: usize = 2;
    pub(crate) const CT_SRV_SRC: usize = 30;
    pub(crate) const CT_DST_LTM: usize = 32;
    pub(crate) const CT_SRC_DPORT_LTM: usize = 33;
    pub(crate) const CT_DST_SPORT_LTM: usize = 34;
    pub(crate) const CT_DST_SRC_LTM: usize = 35;
    pub(crate) const CT_SRC_LTM: usize = 39;
    pub(crate) const CT_SRV_DST: usize = 40;
}

#[cfg(test)]
mod tests {
    use super::*;
    use netsage_schema::UNSW_NB15;

    #[test]
    fn positions_are_those_of_the_schema() {
        assert_eq!(UNSW_NB15.width(), WIDTH);
        for (name, position) in [
            ("service", position::SERVICE),
            ("ct_srv_src", position::CT_SRV_SRC),
            ("ct_dst_ltm", position::CT_DST_LTM),
            ("ct_src_dport_ltm", position::CT_SRC_DPORT_LTM),
            ("ct_dst_sport_ltm", position::CT_DST_SPORT_LTM),
            ("ct_dst_src_ltm", position::CT_DST_SRC_LTM),
            ("ct_src_ltm", position::CT_SRC_LTM),
            ("ct_srv_dst", position::CT_SRV_DST),
        ] {
            assert_eq!(UNSW_NB15.index_of(name), Some(position), "{name}");
        }
    }
}
