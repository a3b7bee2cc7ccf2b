/** Endpoints that send a picture, in a given type or in the one that Accept prefers. How they are made: images.ts. */
import { jpegImage, pngImage, SVG_IMAGE } from './images.js';
import { GET, type Handler, type Route } from './router.js';
import { statusAnswer } from './status-routes.js';

const PNG = pngImage();
const JPEG = jpegImage();

const png: Handler = (exchange) => exchange.send({ type: 'image/png' }, PNG);
const jpeg: Handler = (exchange) => exchange.send({ type: 'image/jpeg' }, JPEG);
const svg: Handler = (exchange) => exchange.send({ type: 'image/svg+xml' }, SVG_IMAGE);

/** As httpbin chooses: by what Accept names at all, not by its weights. */
const byAccept: Handler = (exchange, params) => {
  const accept = exchange.field('accept')?.toLowerCase() ?? '*/*';
  if (accept.includes('image/svg+xml')) return svg(exchange, params);
  if (accept.includes('image/jpeg')) return jpeg(exchange, params);
  if (/image\/(?:png|\*)|\*\/\*/.test(accept)) return png(exchange, params);
  statusAnswer(exchange, 406);
};

export const IMAGE_ROUTES: readonly Route[] = [
  { path: '/image', methods: GET, summary: 'A picture of a type that Accept names', handler: byAccept },
  { path: '/image/png', methods: GET, summary: 'A picture in PNG', handler: png },
  { path: '/image/jpeg', methods: GET, summary: 'A picture in JPEG', handler: jpeg },
  { path: '/image/svg', methods: GET, summary: 'A picture in SVG', handler: svg },
];
