// Writes the dashboards, with Grafana's own builders, into the folder that is named: `node build.mjs dashboards`.
//
// Panels ask two data sources, both of the kind Prometheus: a Prometheus that scrapes `/metrics` of each program, and the
// program itself, which answers under `/prometheus` for what its store counts. Of the latter's language a plain selector is
// understood, and `sum by (label) (selector)`.

import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as common from '@grafana/grafana-foundation-sdk/common';
import {
  DashboardBuilder,
  QueryVariableBuilder,
  RowBuilder,
} from '@grafana/grafana-foundation-sdk/dashboard';
import { DataqueryBuilder, PromQueryFormat } from '@grafana/grafana-foundation-sdk/prometheus';
import { PanelBuilder as Stat } from '@grafana/grafana-foundation-sdk/stat';
import { PanelBuilder as Table } from '@grafana/grafana-foundation-sdk/table';
import { PanelBuilder as TimeSeries } from '@grafana/grafana-foundation-sdk/timeseries';

const SCRAPED = { type: 'prometheus', uid: 'netsage-prometheus' };
const STORE = { type: 'prometheus', uid: 'netsage-store' };
/// What a panel of counts over time shows at least, so that a point is a whole step of the store.
const STORE_STEP = '1m';

const only = 'instance=~"$instance"';
/// The rate of a counter, summed by labels.
const rate = (by, metric, labels = '') =>
  `sum by (${by}) (rate(${metric}{${[only, labels].filter(Boolean).join(',')}}[$__rate_interval]))`;

function target(source, [expr, legend], number) {
  return new DataqueryBuilder()
    .datasource(source)
    .expr(expr)
    .legendFormat(legend)
    .refId(String.fromCharCode(65 + number))
    .range();
}

/// A panel of lines, half as wide as the dashboard.
function lines(title, description, unit, queries, source = SCRAPED) {
  const panel = new TimeSeries()
    .title(title)
    .description(description)
    .datasource(source)
    .unit(unit)
    .min(0)
    .lineWidth(1)
    .fillOpacity(10)
    .showPoints(common.VisibilityMode.Never)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true),
    )
    .tooltip(new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi))
    .height(8)
    .span(12);
  queries.forEach((query, number) => panel.withTarget(target(source, query, number)));
  return panel;
}

/// A panel of stacked bars of what the store counted in each step.
function bars(title, description, unit, queries) {
  return lines(title, description, unit, queries, STORE)
    .interval(STORE_STEP)
    .drawStyle(common.GraphDrawStyle.Bars)
    .fillOpacity(80)
    .stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal).group('A'));
}

/// A panel of one number, a sixth as wide as the dashboard.
function number(title, description, unit, expr) {
  return new Stat()
    .title(title)
    .description(description)
    .datasource(SCRAPED)
    .unit(unit)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(['lastNotNull']))
    .height(4)
    .span(4)
    .withTarget(target(SCRAPED, [expr, '{{instance}}'], 0));
}

/// A table of what holds now.
function table(title, description, queries) {
  const panel = new Table().title(title).description(description).datasource(SCRAPED).height(8).span(24);
  queries.forEach(([expr, legend], place) =>
    panel.withTarget(target(SCRAPED, [expr, legend], place).instant().format(PromQueryFormat.Table)),
  );
  return panel;
}

function dashboard(uid, title, description) {
  return new DashboardBuilder(title)
    .uid(uid)
    .description(description)
    .tags(['netsage'])
    .timezone('browser')
    .refresh('30s')
    .time({ from: 'now-6h', to: 'now' })
    .readonly()
    .withVariable(
      new QueryVariableBuilder('instance')
        .label('Program')
        .datasource(SCRAPED)
        .query('label_values(netsage_uptime_seconds, instance)')
        .refresh(2)
        .multi(true)
        .includeAll(true)
        .allValue('.*'),
    );
}

const traffic = dashboard(
  'netsage-traffic',
  'NetSage: traffic and sensor',
  'What comes in, what becomes of it, and what is lost on the way.',
)
  .withPanel(number('Programs up', 'Programs that Prometheus reaches.', 'short', 'sum(up{job="netsage"})'))
  .withPanel(number('Store', '1 while the store answers and takes flows.', 'short', `netsage_store_up{${only}}`))
  .withPanel(number('Problems', 'What needs an operator now; the health says what.', 'short', `netsage_problems{${only}}`))
  .withPanel(number('Flows waiting', 'To be scored, put in order or stored.', 'short', `netsage_flows_waiting{${only}}`))
  .withPanel(number('Flows in the meter', 'Flows that have not ended.', 'short', `netsage_active_flows{${only}}`))
  .withPanel(number('Since the start', 'Time since the program was started.', 's', `netsage_uptime_seconds{${only}}`))
  .withRow(new RowBuilder('Traffic'))
  .withPanel(lines('Flows', 'Flows that sources handed over.', 'cps', [[rate('source', 'netsage_source_flows_total'), '{{source}}']]))
  .withPanel(lines('Records', 'Packets, rows, lines or messages taken in.', 'cps', [[rate('source', 'netsage_source_records_total'), '{{source}}']]))
  .withPanel(lines('Bits', 'Bits of these records.', 'bps', [[`8 * ${rate('source', 'netsage_source_bytes_total')}`, '{{source}}']]))
  .withPanel(
    lines('What became of flows', 'Scored by every detector, failed by one, or dropped.', 'cps', [
      [rate('instance', 'netsage_flows_scored_total'), 'scored, {{instance}}'],
      [rate('instance', 'netsage_flows_failed_total'), 'failed, {{instance}}'],
      [rate('instance, queue', 'netsage_dropped_total', 'queue=~".+_flows"'), 'dropped: {{queue}}, {{instance}}'],
    ]),
  )
  .withRow(new RowBuilder('Sensor'))
  .withPanel(
    lines('Records that were not used', 'Refused, lost before they could be taken in, or behind their turn (which are used).', 'cps', [
      [rate('source', 'netsage_source_records_rejected_total'), 'refused, {{source}}'],
      [rate('source', 'netsage_source_records_lost_total'), 'lost, {{source}}'],
      [rate('source', 'netsage_source_records_late_total'), 'late, {{source}}'],
    ]),
  )
  .withPanel(
    lines('Loss', 'Packets dropped by kernel and interface, and gaps in TCP that were never seen.', 'cps', [
      [rate('instance, queue', 'netsage_dropped_total', 'queue=~".+_packets"'), '{{queue}}, {{instance}}'],
      [rate('instance', 'netsage_tcp_gaps_total'), 'gaps in TCP, {{instance}}'],
    ]),
  )
  .withPanel(lines('Sources that read', '1 while nothing keeps a source from reading.', 'short', [[`netsage_source_up{${only}}`, '{{source}}, {{instance}}']]))
  .withPanel(
    lines('Under way', 'Blocks of flows between meter and store.', 'short', [
      [`netsage_blocks_under_way{${only}}`, 'under way, {{instance}}'],
      [`netsage_blocks_to_score{${only}}`, 'to score, {{instance}}'],
      [`netsage_blocks_out_of_order{${only}}`, 'out of order, {{instance}}'],
    ]),
  )
  .withPanel(
    lines('Held up', 'Share of the time that readers waited for room, and deliveries to the store that had to be repeated.', 'short', [
      [rate('instance', 'netsage_reader_waited_seconds_total'), 'readers wait, {{instance}}'],
      [rate('instance', 'netsage_store_retries_total'), 'repeated deliveries, {{instance}}'],
    ]),
  )
  .withPanel(lines('Refused', 'Connections and calls that were refused, by reason.', 'cps', [[rate('reason', 'netsage_refused_total'), '{{reason}}']]))
  .withRow(new RowBuilder('Store'))
  .withPanel(bars('Flows in the store', 'By the time of the flows.', 'short', [['netsage_store_flows', 'flows']]))
  .withPanel(bars('Bytes in the store', 'Of the flows that are kept.', 'decbytes', [['netsage_store_flow_bytes', 'bytes']]));

const alerts = dashboard(
  'netsage-alerts',
  'NetSage: alerts and trends',
  'Which alerts began when, what share of the traffic they are, and whether they reach those who read them.',
)
  .withRow(new RowBuilder('Alerts, by the time of their first flow'))
  .withPanel(bars('Alerts by severity', 'Alerts whose first flow began in a step.', 'short', [['sum by (severity) (netsage_store_alerts_begun)', '{{severity}}']]))
  .withPanel(bars('Alerts by detector', 'Alerts whose first flow began in a step.', 'short', [['sum by (detector) (netsage_store_alerts_begun)', '{{detector}}']]))
  .withPanel(bars('Alerts by network', 'The network without a name has no name here.', 'short', [['sum by (network) (netsage_store_alerts_begun)', '{{network}}']]))
  .withPanel(bars('Alerts that nobody has looked at', 'Those in state new, by severity.', 'short', [['sum by (severity) (netsage_store_alerts_begun{state="new"})', '{{severity}}']]))
  .withPanel(bars('Flows above a threshold', 'By the time of the flows.', 'short', [['netsage_store_flows_alerted', 'flows']]))
  .withPanel(bars('Sources', 'Different sources of the flows that are kept.', 'short', [['netsage_store_flow_sources', 'sources']]))
  .withRow(new RowBuilder('Trends, by the clock'))
  .withPanel(lines('Hits by detector', 'Flows above the threshold of a detector.', 'cps', [[rate('name', 'netsage_detector_hits_total'), '{{name}}']]))
  .withPanel(lines('Hits by severity', 'Flows above the threshold of a detector.', 'cps', [[rate('severity', 'netsage_detector_hits_total'), '{{severity}}']]))
  .withPanel(
    lines('Share of flows above a threshold', 'Of the flows that are stored, over the last hour and the last day.', 'percentunit', [
      [`netsage:flows_alerted:ratio_rate1h{${only}}`, 'hour, {{instance}}'],
      [`netsage:flows_alerted:ratio_rate1d{${only}}`, 'day, {{instance}}'],
    ]),
  )
  .withPanel(lines('Flows', 'Flows that were finished, over five minutes.', 'cps', [[`netsage:flows:rate5m{${only}}`, '{{instance}}']]))
  .withRow(new RowBuilder('Outputs'))
  .withPanel(lines('Delivered', 'Changes of alerts that receivers have taken.', 'cps', [[rate('output', 'netsage_output_alerts_delivered_total'), '{{output}}']]))
  .withPanel(lines('Lag', 'For how long the change that has been due longest is due already.', 's', [[`max by (output) (netsage_output_lag_seconds{${only}})`, '{{output}}']]))
  .withPanel(
    lines('Not delivered', 'Failures of receivers, of the store and refusals of this sender, and changes that a receiver will never take.', 'cps', [
      [rate('output, kind', 'netsage_output_failures_total'), '{{kind}}, {{output}}'],
      [rate('output', 'netsage_output_alerts_refused_total'), 'refused, {{output}}'],
    ]),
  )
  .withPanel(lines('Receivers', 'Receivers that are fed now.', 'short', [[`sum by (output) (netsage_output_receivers{${only}})`, '{{output}}']]));

const detectors = dashboard(
  'netsage-detectors',
  'NetSage: detectors and drift',
  'What each detector does, costs and fails at, and how far the traffic has moved from what it was trained on.',
)
  .withPanel(table('Stages', 'The stage in which each package stands.', [[`netsage_detector_stage{${only}}`, '']]))
  .withRow(new RowBuilder('Scoring'))
  .withPanel(lines('Flows scored', 'By the name of the detector and its role.', 'cps', [[rate('name, role', 'netsage_generation_flows_scored_total'), '{{name}}, {{role}}']]))
  .withPanel(
    lines('Failures', 'Calls that failed, and flows that were not scored for it.', 'cps', [
      [rate('name, kind', 'netsage_generation_calls_failed_total'), '{{name}}: {{kind}}'],
      [rate('name, policy', 'netsage_generation_flows_unscored_total'), '{{name}}: flows, {{policy}}'],
    ]),
  )
  .withPanel(lines('Time for a row', 'Mean time that a generation takes for a row.', 's', [[`max by (name, role) (netsage_generation_seconds_per_row{${only}})`, '{{name}}, {{role}}']]))
  .withPanel(lines('Time of a call', 'Time that 99 of 100 calls do not exceed.', 's', [[`max by (name, role) (netsage_generation_call_seconds_p99{${only}})`, '{{name}}, {{role}}']]))
  .withPanel(
    lines('Packages', 'What packages were given up for: instances replaced, explanations failed.', 'cps', [
      [rate('name', 'netsage_detector_instances_replaced_total'), 'instances, {{name}}'],
      [rate('name', 'netsage_detector_explanations_failed_total'), 'explanations, {{name}}'],
    ]),
  )
  .withPanel(lines('Rollbacks', 'Rollbacks in the history that is kept, by who asked for them.', 'short', [[`sum by (name, by) (netsage_detector_rollbacks_total{${only}})`, '{{name}}, by {{by}}']]))
  .withRow(new RowBuilder('Drift and thresholds'))
  .withPanel(lines('Drift of the score', 'Population stability index of the calibrated score; above 0.25 the traffic is another one.', 'short', [[`max by (name, role) (netsage_generation_score_drift{${only}})`, '{{name}}, {{role}}']]))
  .withPanel(lines('Drift of columns', 'The ten columns that have moved most.', 'short', [[`topk(10, max by (name, column) (netsage_generation_drift{${only}}))`, '{{name}}: {{column}}']]))
  .withPanel(lines('Thresholds', 'Score above which a flow is alerted.', 'short', [[`max by (name, rule) (netsage_detector_threshold{${only}})`, '{{name}}, {{rule}}']]))
  .withPanel(lines('Hits', 'Flows above the threshold of a detector.', 'cps', [[rate('name', 'netsage_detector_hits_total'), '{{name}}']]));

const [folder] = process.argv.slice(2);
if (!folder) {
  console.error('name the folder to write to: node build.mjs dashboards');
  process.exit(1);
}
mkdirSync(folder, { recursive: true });
for (const builder of [traffic, alerts, detectors]) {
  const built = builder.build();
  // Ids by the place, so that links to a panel last; the builders give none.
  built.panels.forEach((panel, place) => (panel.id = place + 1));
  writeFileSync(join(folder, `${built.uid}.json`), `${JSON.stringify(built, null, 2)}\n`);
}
