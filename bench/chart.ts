/**
 * The report as a picture: a row of bar charts per scenario, one chart per metric, drawn as SVG by Vega-Lite, which needs
 * no browser for that.
 */
import { OURS } from './clients/registry.js';
import { type Metric, metricsOf } from './metrics.js';
import { labelOf } from './report.js';
import { findCell, type ScenarioSummary } from './summary.js';

/** A Vega-Lite specification or a part of one: JSON, whose schema is Vega-Lite's own affair. */
type Json = string | number | boolean | null | readonly Json[] | { readonly [key: string]: Json };

interface Vega {
  parse(spec: unknown): unknown;
  readonly View: new (
    runtime: unknown,
    options: { readonly renderer: 'none' },
  ) => {
    toSVG(): Promise<string>;
    finalize(): unknown;
  };
}

interface VegaLite {
  compile(spec: Json): { readonly spec: unknown };
}

const OUR_COLOUR = '#d1495b';
const FLOOR_COLOUR = '#8d99ae';
const PEER_COLOUR = '#30638e';

/** @param load - how Vega is loaded: it is installed beside the peers, not for the project */
export async function drawChart(
  summaries: readonly ScenarioSummary[],
  subtitle: string,
  load: (name: string) => Promise<unknown>,
): Promise<string> {
  // Both packages document these members; see the interfaces.
  const vega = (await load('vega')) as Vega;
  const vegaLite = (await load('vega-lite')) as VegaLite;
  const { spec } = vegaLite.compile(specification(summaries, subtitle));
  const view = new vega.View(vega.parse(spec), { renderer: 'none' });
  try {
    return await view.toSVG();
  } finally {
    view.finalize();
  }
}

function specification(summaries: readonly ScenarioSummary[], subtitle: string): Json {
  return {
    background: 'white',
    padding: 16,
    title: { text: 'urllib3 side by side with other clients', subtitle, anchor: 'start', fontSize: 18, offset: 16 },
    vconcat: summaries.map((summary) => ({
      title: { text: summary.scenario.title, anchor: 'start', fontSize: 13 },
      hconcat: metricsOf(summary.scenario.work).map((metric) => panel(summary, metric)),
    })),
    config: { view: { stroke: null }, axis: { grid: false, domain: false, ticks: false } },
  };
}

function panel(summary: ScenarioSummary, metric: Metric): Json {
  const values = summary.rows.flatMap(({ client }) => {
    const value = findCell(summary, client, metric.key)?.value;
    if (!value) return [];
    return [
      { client: labelOf(client), value: value.median, shown: metric.show(value.median), colour: colourOf(client) },
    ];
  });
  const direction = metric.better === 'more' ? 'more is better' : 'less is better';
  const y = { field: 'client', type: 'nominal', sort: null, title: null, axis: { labelLimit: 200 } };
  const x = {
    field: 'value',
    type: 'quantitative',
    title: `${metric.heading} (${direction})`,
    axis: { labels: false },
  };
  return {
    width: 260,
    height: { step: 18 },
    data: { values },
    encoding: { y, x },
    layer: [
      { mark: 'bar', encoding: { color: { field: 'colour', type: 'nominal', scale: null } } },
      {
        mark: { type: 'text', align: 'left', dx: 4, fontSize: 10 },
        encoding: { text: { field: 'shown', type: 'nominal' } },
      },
    ],
  };
}

function colourOf(client: string): string {
  if (client === OURS) return OUR_COLOUR;
  return client === 'floor' ? FLOOR_COLOUR : PEER_COLOUR;
}
