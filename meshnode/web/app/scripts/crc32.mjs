// The checksum of PNG chunks; zlib of older Node versions has none of its own.
const TABLE = Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});

/** CRC-32 of a buffer, as an unsigned number. */
export function crc32(buffer) {
  let value = 0xffffffff;
  for (const byte of buffer) value = TABLE[(value ^ byte) & 0xff] ^ (value >>> 8);
  return (value ^ 0xffffffff) >>> 0;
}
