/**
 * Bits of a file that flip.
 *
 * @module
 */
import type { Chance } from "../../src/base/chance.ts";

const FLIPS_MAX = 8;

/** Flips up to eight bits among the first `size` bytes of a file, and says where. */
export async function flipBits(
  { path, size }: { readonly path: string; readonly size: number },
  chance: Chance,
): Promise<string> {
  using file = await Deno.open(path, { read: true, write: true });
  const byte = new Uint8Array(1);
  const places: number[] = [];
  for (let flips = 1 + chance.below(FLIPS_MAX); flips > 0; flips--) {
    const at = chance.below(size);
    await file.seek(at, Deno.SeekMode.Start);
    await file.read(byte);
    byte[0] = (byte[0] as number) ^ 1 << chance.below(8);
    await file.seek(at, Deno.SeekMode.Start);
    await file.write(byte);
    places.push(at);
  }
  return `flipped in bytes ${places.join(", ")} of ${size}`;
}
