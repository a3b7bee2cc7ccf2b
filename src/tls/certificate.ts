/**
 * What a certificate says, read from its bytes (RFC 5280, in DER: X.690).
 *
 * Names are compared as the structured data that they are. Node offers them joined into one text, which has to be split
 * again, and in which a comma or quote of a name has made another name (CVE-2021-44532). Only what identity and messages
 * need is read; whether signatures and chains hold is OpenSSL's to say. Linear in the length of the certificate.
 */
import { children, DerError, type Element, expect, OBJECT_IDENTIFIER, OCTET_STRING, only, SEQUENCE } from './der.js';

/** A distinguished name, as far as messages show it. */
export interface NameFacts {
  /** Every common name, in order. */
  readonly commonNames: readonly string[];
  readonly organization: string | null;
}

/** What a certificate says of itself. */
export interface CertificateFacts {
  readonly subject: NameFacts;
  readonly issuer: NameFacts;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** Whether there is a list of alternative names at all, whatever it holds. */
  readonly hasAlternativeNames: boolean;
  /** As they stand there, byte by byte: not every one is a name that can be. */
  readonly dnsNames: readonly string[];
  /** Four or sixteen bytes each, unless they are nonsense. */
  readonly addresses: readonly Buffer[];
  /** Whether subject and issuer are the same, byte by byte. */
  readonly isSelfIssued: boolean;
}

const GENERALIZED_TIME = 0x18;
/** [0], the version, in front of the serial number. */
const VERSION = 0xa0;
/** [3], the extensions. */
const EXTENSIONS = 0xa3;
/** [2] and [7] of GeneralName (RFC 5280 section 4.2.1.6), both primitive. */
const DNS_NAME = 0x82;
const IP_ADDRESS = 0x87;
const BMP_STRING = 0x1e;
const UTF8_STRING = 0x0c;

const OID_COMMON_NAME = '550403';
const OID_ORGANIZATION = '55040a';
const OID_SUBJECT_ALT_NAME = '551d11';

/** @throws DerError for bytes that are no certificate */
export function readCertificate(der: Buffer): CertificateFacts {
  const [body] = children(only(der, SEQUENCE).content);
  const fields = children(expect(body, SEQUENCE).content);
  if (fields[0]?.tag === VERSION) fields.shift();
  const [, , issuer, validity, subject, , ...optional] = fields;
  const [notBefore, notAfter] = children(expect(validity, SEQUENCE).content);
  const extensions = optional.find(({ tag }) => tag === EXTENSIONS);
  const names = extensions === undefined ? null : alternativeNames(extensions);
  return {
    subject: readName(expect(subject, SEQUENCE)),
    issuer: readName(expect(issuer, SEQUENCE)),
    notBeforeMs: readTime(notBefore),
    notAfterMs: readTime(notAfter),
    hasAlternativeNames: names !== null,
    dnsNames: (names ?? []).filter(({ tag }) => tag === DNS_NAME).map(({ content }) => content.toString('latin1')),
    addresses: (names ?? []).filter(({ tag }) => tag === IP_ADDRESS).map(({ content }) => content),
    isSelfIssued: expect(subject, SEQUENCE).whole.equals(expect(issuer, SEQUENCE).whole),
  };
}

/** The alternative names; null where there is no such extension. */
function alternativeNames(extensions: Element): readonly Element[] | null {
  const lists: Element[] = [];
  for (const extension of children(only(extensions.content, SEQUENCE).content)) {
    const [id, ...rest] = children(expect(extension, SEQUENCE).content);
    if (expect(id, OBJECT_IDENTIFIER).content.toString('hex') !== OID_SUBJECT_ALT_NAME) continue;
    // Between the two there may be whether the extension is critical.
    lists.push(only(expect(rest.at(-1), OCTET_STRING).content, SEQUENCE));
  }
  if (lists.length > 1) throw new DerError('two lists of alternative names');
  const [list] = lists;
  return list === undefined ? null : children(list.content);
}

function readName(name: Element): NameFacts {
  const commonNames: string[] = [];
  let organization: string | null = null;
  for (const relative of children(name.content)) {
    for (const attribute of children(relative.content)) {
      const [id, value] = children(expect(attribute, SEQUENCE).content);
      if (id === undefined || value === undefined) throw new DerError('an attribute without value');
      const oid = id.content.toString('hex');
      if (oid === OID_COMMON_NAME) commonNames.push(readText(value));
      else if (oid === OID_ORGANIZATION) organization ??= readText(value);
    }
  }
  return { commonNames, organization };
}

function readText({ tag, content }: Element): string {
  if (tag === UTF8_STRING) return content.toString('utf8');
  if (tag !== BMP_STRING) return content.toString('latin1');
  // UTF-16, but big-endian, which Node does not read; an odd last byte is no character.
  return Buffer.from(content.subarray(0, content.length & ~1))
    .swap16()
    .toString('utf16le');
}

/** UTCTime or GeneralizedTime, both in UTC and with seconds (RFC 5280 section 4.1.2.5). */
function readTime(time: Element | undefined): number {
  const text = time?.content.toString('latin1') ?? '';
  const parts = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/.exec(text);
  if (time === undefined || parts === null) throw new DerError('a time that is none');
  const [year = 0, month = 0, ...rest] = parts.slice(1).map(Number);
  const century = time.tag === GENERALIZED_TIME ? 0 : year < 50 ? 2000 : 1900;
  const [day, hours, minutes, seconds] = rest;
  // setUTCFullYear, because Date.UTC takes the years 0 to 99 for 1900 to 1999.
  const date = new Date(Date.UTC(2000, 0, 1, hours, minutes, seconds));
  return date.setUTCFullYear(century + year, month - 1, day);
}

/** A name for a message: the common name, or else the organization. */
export function nameText({ commonNames, organization }: NameFacts): string {
  return commonNames.at(-1) ?? organization ?? 'a certificate without a name';
}
