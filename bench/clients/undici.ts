/**
 * The members of undici that its adapters use, and the options that they share.
 *
 * undici decodes no content by itself; the adapters do it in one synchronous call on the whole content, which for small
 * contents is cheaper than its streaming interceptor.
 */
import type { Readable } from 'node:stream';
import { gunzipSync } from 'node:zlib';
import type { SessionOptions } from './client.js';
import { loadPeer } from './peer.js';

export interface DispatchOptions {
  readonly path: string;
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Readable;
}

export interface ResponseData {
  readonly statusCode: number;
  readonly body: AsyncIterable<Uint8Array> & { arrayBuffer(): Promise<ArrayBuffer>; text(): Promise<string> };
}

export interface DispatchHandler {
  onRequestStart(): void;
  onResponseStart(controller: unknown, statusCode: number): void;
  onResponseData(controller: unknown, chunk: Buffer): void;
  onResponseEnd(): void;
  onResponseError(controller: unknown, error: Error): void;
}

interface DispatcherOptions {
  readonly connections: number;
  readonly pipelining: number;
  readonly connect: { readonly ca: string };
  readonly keepAliveTimeout: number;
}

export interface Dispatcher {
  request(options: DispatchOptions): Promise<ResponseData>;
  dispatch(options: DispatchOptions, handler: DispatchHandler): boolean;
  close(): Promise<void>;
}

interface ProxyAgentOptions extends DispatcherOptions {
  readonly uri: string;
  readonly proxyTunnel: boolean;
  readonly requestTls: { readonly ca: string };
}

export interface Undici {
  readonly ProxyAgent: new (options: ProxyAgentOptions) => Dispatcher;
  readonly Agent: new (options: DispatcherOptions) => Dispatcher;
  readonly Pool: new (origin: string, options: DispatcherOptions) => Dispatcher;
  request(
    url: string,
    options: Omit<DispatchOptions, 'path'> & { readonly dispatcher: Dispatcher },
  ): Promise<ResponseData>;
}

export async function loadUndici(): Promise<Undici> {
  return await loadPeer<Undici>('undici');
}

/** A minute to keep connections, since the default of 4 s would end some while the idle scenario still opens others. */
export function dispatcherOptions({ connections, ca }: SessionOptions): DispatcherOptions {
  return { connections, pipelining: 1, connect: { ca }, keepAliveTimeout: 60_000 };
}

export function acceptHeaders(gzip: boolean): Readonly<Record<string, string>> {
  return gzip ? { 'accept-encoding': 'gzip' } : {};
}

export function decodedLength(content: ArrayBuffer | Buffer, gzip: boolean): number {
  return gzip ? gunzipSync(content).length : content.byteLength;
}
