// The few shapes of query that the panels are made of.

export const MODEL = 'model=~"$model"';

/** @param {number} quantile @param {string} name @param {string} [matchers] @param {string} [by] */
export const quantile = (quantile, name, matchers = MODEL, by = 'model') =>
  `histogram_quantile(${quantile}, sum by (${by}, le) (rate(${name}_bucket{${matchers}}[$__rate_interval])))`;

/** @param {string} name @param {string} [matchers] @param {string} [by] */
export const mean = (name, matchers = MODEL, by = 'model') =>
  `sum by (${by}) (rate(${name}_sum{${matchers}}[$__rate_interval])) / sum by (${by}) (rate(${name}_count{${matchers}}[$__rate_interval]))`;

/** @param {string} name @param {string} [by] @param {string} [matchers] */
export const rate = (name, by = 'model', matchers = MODEL) =>
  `sum by (${by}) (rate(${name}{${matchers}}[$__rate_interval]))`;
