/**
 * A bare worker that sends every message back.
 *
 * @module
 */
/// <reference lib="deno.worker" />

self.onmessage = ({ data }: MessageEvent<Uint8Array<ArrayBuffer>>) =>
  self.postMessage(data, [data.buffer]);
