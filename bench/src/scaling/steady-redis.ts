/** Arguments of a Redis whose cost is measured: rewrites of its file would fall into some windows and not into others. */
export const STEADY: readonly string[] = ['--auto-aof-rewrite-percentage', '0'];
