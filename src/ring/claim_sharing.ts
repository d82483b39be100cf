/**
 * Twice as many nodes as the target N, half of whom go round the ring: each of
 * the others shares the place of one of them. Whoever owns a partition of a
 * place, none of its windows has a repeat, so the two may take turns in any way
 * they like. They do so in runs of another length or beginning at each place:
 *
 *     place 1   aaeeaaeeaaeeaaee…
 *     place 2   ffffbbbbffffbbbb…
 *     place 3   ccggggccccggggcc…
 *     place 4   ddddddddhhhhhhhh…
 *
 * Then any of the nodes misses somewhere between two partitions of any other,
 * and can take over there when that one leaves: of eight nodes one or two can
 * leave without another move. When so many leave that those who stay have to go
 * round again, they stand at their place already, if not both of a pair leave.
 * With one order for all places (`abcdefgh`) or nodes spread over all places a
 * leave of the one kind or the other drives many from home.
 *
 * @module
 */

/** How the two of a place take turns, place by place and then again: so many partitions at a time, the first run shorter by the offset. */
const TURNS = [
  { length: 2, offset: 0 },
  { length: 4, offset: 4 },
  { length: 4, offset: 2 },
  { length: 8, offset: 0 },
] as const;

/** After so many partitions of a place all turns are as in the beginning. */
const TURNS_PERIOD = 16;

/** The ring in which each of `newcomers` shares a place with one of as many nodes, who go round `ring`; `undefined` if they don't, or if shares would differ. */
export function sharePlaces(
  ring: readonly string[],
  newcomers: readonly string[],
): string[] | undefined {
  const places = newcomers.length;
  const isRound = ring.every((node, i) => node === ring[i % places]);
  if (!isRound || ring.length % (places * TURNS_PERIOD) !== 0) return undefined;
  return ring.map((node, partition) => {
    const place = partition % places;
    const { length, offset } = TURNS[place % TURNS.length]!;
    const turn = Math.floor((Math.floor(partition / places) + offset) / length);
    return turn % 2 === 0 ? node : newcomers[place]!;
  });
}
