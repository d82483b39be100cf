/**
 * A supervision tree as plain data and as text: what runs, where, since how
 * many restarts.
 *
 * @module
 */

/** One process of the tree, as plain data. */
export interface TreeNode {
  /** The id in its supervisor, or its name. */
  readonly id: string;
  /** What it is, or where it runs. */
  readonly kind: "supervisor" | "task" | "worker" | "subprocess";
  /** `running`, `restarting`, `starting`, `stopping`, `stopped`, or `exited`. */
  readonly status: string;
  /** How often its supervisor has restarted it. */
  readonly restarts: number;
  /** Of supervisors. */
  readonly strategy?: string;
  /** Of subprocesses: the operating system's id. */
  readonly pid?: number;
  /** Zombies left by earlier processes: threads that spin and cannot be terminated. */
  readonly zombies?: number;
  /** Why it last ended, in words. */
  readonly lastExit?: string;
  /** Anything else an operator should know about it, in words. */
  readonly remark?: string;
  /** Its children, in start order. */
  readonly children: readonly TreeNode[];
  /** How many more children there are than are listed. */
  readonly unlisted?: number;
}

/** The tree as text, one line a process. */
export function renderTree(root: TreeNode): string {
  const lines: string[] = [];
  const visit = (node: TreeNode, lead: string, childLead: string): void => {
    lines.push(lead + describeNode(node));
    const rows = node.children.length + (node.unlisted ? 1 : 0);
    node.children.forEach((child, index) => {
      const last = index === rows - 1;
      visit(
        child,
        `${childLead}${last ? "└─ " : "├─ "}`,
        `${childLead}${last ? "   " : "│  "}`,
      );
    });
    if (node.unlisted) lines.push(`${childLead}└─ … ${node.unlisted} more`);
  };
  visit(root, "", "");
  return lines.join("\n");
}

function describeNode(node: TreeNode): string {
  const facts = [
    node.strategy ?? node.kind,
    ...(node.pid === undefined ? [] : [`pid ${node.pid}`]),
    ...(node.status === "running" ? [] : [node.status]),
    ...(node.restarts === 0
      ? []
      : [`${node.restarts} restart${node.restarts === 1 ? "" : "s"}`]),
    ...(node.zombies
      ? [`${node.zombies} zombie${node.zombies === 1 ? "" : "s"}`]
      : []),
    ...(node.lastExit === undefined ? [] : [`last exit: ${node.lastExit}`]),
    ...(node.remark === undefined ? [] : [node.remark]),
  ];
  return `${node.id}  (${facts.join(", ")})`;
}
