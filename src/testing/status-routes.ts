/**
 * /status: answers with the status that the client asks for, or with one of several by weight.
 *
 * Some statuses carry the fields that a client looks for beside them; `statusAnswer` serves other routes too.
 */
import type { AnswerHead, Exchange } from './exchange.js';
import { prettyJson } from './json.js';
import { finalStatus, Refusal } from './refusal.js';
import { ANY_METHOD, type Handler, type Route } from './router.js';

const TEAPOT = `
          .--.
     _____|__|_____
    /              \\ __
 .-|   I'm a teapot  |  \\
(  |                |___/
 '-.\\              /
     '------------'
`;

const REDIRECT = { fields: { Location: '/redirect/1' } };

/** What goes with a status beside the status line. */
const EXTRAS: ReadonlyMap<number, AnswerHead & { readonly body?: string }> = new Map<
  number,
  AnswerHead & { readonly body?: string }
>([
  ...[301, 302, 303, 305, 307, 308].map((status) => [status, REDIRECT] as const),
  [401, { fields: { 'WWW-Authenticate': 'Basic realm="Fake Realm"' } }],
  [402, { type: 'text/plain', body: 'Payment required\n' }],
  [
    406,
    {
      type: 'application/json',
      body: prettyJson({
        accept: ['image/svg+xml', 'image/jpeg', 'image/png', 'image/*'],
        message: 'None of the acceptable media types can be sent',
      }),
    },
  ],
  [407, { fields: { 'Proxy-Authenticate': 'Basic realm="Fake Realm"' } }],
  [418, { body: TEAPOT, fields: { 'X-More-Info': 'https://www.rfc-editor.org/rfc/rfc2324' } }],
]);

/** Answers with `status` and what belongs to it. */
export function statusAnswer(exchange: Exchange, status: number): void {
  const { body = '', ...head } = EXTRAS.get(status) ?? {};
  exchange.send({ status, ...head }, body);
}

/** `200`, `200,500` or `200:9,500:1`: one of them at random, by weight. */
function chooseStatus(codes: string): number {
  const choices = codes.split(',').map((choice) => {
    const [code = '', weight = '1'] = choice.split(':');
    if (!/^\d+(?:\.\d+)?$/.test(weight))
      throw new Refusal(400, `A weight must be a number, not ${JSON.stringify(weight)}`);
    return { status: finalStatus(code), weight: Number(weight) };
  });
  let ticket = Math.random() * choices.reduce((sum, { weight }) => sum + weight, 0);
  const chosen = choices.find(({ weight }) => {
    ticket -= weight;
    return ticket < 0;
  });
  if (chosen === undefined) throw new Refusal(400, 'The weights must not all be 0');
  return chosen.status;
}

const status: Handler = (exchange, params) => statusAnswer(exchange, chooseStatus(params.text('codes')));

export const STATUS_ROUTES: readonly Route[] = [
  {
    path: '/status/{codes}',
    methods: ANY_METHOD,
    summary: 'The given status, or one of several (/status/200,500), perhaps by weight (/status/200:9,500:1)',
    handler: status,
  },
];
