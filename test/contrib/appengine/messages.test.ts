/** The vectors in hexadecimal were made by protobufjs from Google's definitions, not by the code under test. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { URLFetchError } from '../../../src/contrib/appengine/errors.js';
import { decodeCallReply, encodeCall } from '../../../src/contrib/appengine/messages.js';
import type { URLFetchRequest } from '../../../src/contrib/appengine/urlfetch.js';
import { HTTPError, ProtocolError } from '../../../src/exceptions.js';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

const POST: URLFetchRequest = {
  method: 'POST',
  url: 'http://x/',
  headers: [['A', 'b']],
  payload: Buffer.from('hi'),
  followRedirects: false,
  deadline: 5,
  validateCertificate: true,
  signal: null,
};

const REPLY =
  '0a026f6b10c8011b220a5365742d436f6f6b69652a03613d311c1b220a5365742d436f6f6b69652a03623d321c30004a09687474703a2f2f792f';

/** A response, wrapped in the reply to a call. */
function replyOf(response: string): Buffer {
  const bytes = hex(response);
  return Buffer.concat([Buffer.of(0x0a, bytes.length), bytes]);
}

describe('encodeCall()', () => {
  test('writes the vector', () => {
    expect(encodeCall(POST, 't1').toString('hex')).toBe(
      '120875726c66657463681a054665746368222608021209687474703a2f2f782f1b2201412a01621c32026869380041000000000000144048012a027431',
    );
  });

  test('leaves out a ticket, a payload and a deadline that are not there, and always says the rest', () => {
    const request = { ...POST, payload: null, deadline: null, headers: [], followRedirects: true };
    expect(encodeCall({ ...request, validateCertificate: false }, null).toString('hex')).toBe(
      '120875726c66657463681a0546657463682211' + '08021209687474703a2f2f782f' + '3801' + '4800',
    );
  });

  test.each([
    ['GET', 1],
    ['POST', 2],
    ['HEAD', 3],
    ['PUT', 4],
    ['DELETE', 5],
    ['PATCH', 6],
  ] as const)('writes %s as %i', (method, wanted) => {
    expect(encodeCall({ ...POST, method }, null).toString('hex')).toContain(`080${wanted}1209`);
  });
});

describe('decodeCallReply()', () => {
  test('reads the vector', () => {
    expect(decodeCallReply(hex(`0a3a${REPLY}`))).toEqual({
      statusCode: 200,
      headers: [
        ['Set-Cookie', 'a=1'],
        ['Set-Cookie', 'b=2'],
      ],
      content: Buffer.from('ok'),
      contentWasTruncated: false,
      finalUrl: 'http://y/',
    });
  });

  test('takes content for empty, and the rest for not said, where they are absent', () => {
    expect(decodeCallReply(replyOf('10cc01'))).toEqual({
      statusCode: 204,
      headers: [],
      content: Buffer.alloc(0),
      contentWasTruncated: false,
      finalUrl: null,
    });
    expect(decodeCallReply(replyOf('10cc014a00')).finalUrl).toBeNull();
  });

  test('reads that content was truncated', () => {
    expect(decodeCallReply(replyOf('10c8013001')).contentWasTruncated).toBe(true);
  });

  test('skips what it does not know, and takes the last of what stands twice', () => {
    // 7, 8, 10, 11, 12: counters. 20: a group. 21: four bytes. The status as bytes, too: not what it is.
    const unknown = '3805 4005 5001 5801 6001 a30108 01a401 ad0101020304 120161';
    expect(decodeCallReply(replyOf(`1064 ${unknown} 10c801`)).statusCode).toBe(200);
  });

  test('reads the fields of the header as latin1, without outer blanks', () => {
    expect(decodeCallReply(replyOf('10c801 1b220158 2a0320e9 09 1c')).headers).toEqual([['X', 'é']]);
  });

  test.each([
    ['application_error 5', '1a08080512046c617465', 'urlfetch', 5, 'late'],
    ['rpc_error 12', '2a04080c1200', 'rpc', 12, ''],
    ['rpc_error without detail', '2a020803', 'rpc', 3, ''],
    ['an empty rpc_error', '2a00', 'rpc', 0, ''],
    ['a negative code', '1a0b08ffffffffffffffffff01', 'urlfetch', -1, ''],
    ['rpc_error before application_error', '1a0208052a020803', 'rpc', 3, ''],
    ['application_error before a response', `1a020805 0a0310cc01`, 'urlfetch', 5, ''],
    ['an exception', '120161', 'rpc', 0, 'the service raised an exception'],
    ['an exception of Java', '220161 0a0310cc01', 'rpc', 0, 'the service raised an exception'],
  ] as const)('raises %s as URLFetchError with its number', (_name, bytes, layer, errorCode, detail) => {
    let raised: unknown;
    try {
      decodeCallReply(hex(bytes));
    } catch (error) {
      raised = error;
    }
    expect(raised).toBeInstanceOf(URLFetchError);
    expect(raised).toMatchObject({ layer, errorCode, detail });
  });

  test.each([
    ['nothing', Buffer.alloc(0), 'it has no response'],
    ['text', Buffer.from('<html>'), 'Cannot read a message of URLFetch'],
    ['no status', replyOf('0a026f6b'), 'its status is undefined'],
    ['status 99', replyOf('1063'), 'its status is 99'],
    ['status 1000', replyOf('10e807'), 'its status is 1000'],
    ['a field without name', replyOf('10c801 1b2a01621c'), 'its header "" is no field of HTTP'],
    ['a field with a blank in its name', replyOf('10c801 1b2203612062 2a01621c'), 'its header "a b"'],
    ['a field with a line end in its value', replyOf('10c801 1b2201412a03620d0a1c'), null],
    ['a field with a line end within its value', replyOf('10c801 1b2201412a05620d0a633a1c'), 'its header "A"'],
  ])('rejects %s', (_name, bytes, why) => {
    expect(() => decodeCallReply(bytes)).toThrow(ProtocolError);
    if (why !== null) expect(() => decodeCallReply(bytes)).toThrow(why);
  });

  test('gives a reply or an error of ours for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(60), (noise, at) => {
        const bytes = hex(`0a3a${REPLY}`);
        bytes.set(noise.subarray(0, bytes.length - Math.min(at, bytes.length)), Math.min(at, bytes.length));
        try {
          decodeCallReply(bytes);
        } catch (error) {
          expect(error).toBeInstanceOf(HTTPError);
        }
      }),
    );
  });
});
