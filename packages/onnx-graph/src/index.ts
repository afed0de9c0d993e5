export { DECODER_135M, DECODER_TINY, type DecoderOptions, decoder } from './decoder.ts';
export { type ConcatDecoderOptions, concatDecoder } from './decoder-concat.ts';
export { ELEMENT_TYPES, type ElementType } from './element-type.ts';
export { ExternalDataFile, type ExternalRange } from './external-data.ts';
export { type ExternalWeight, externalWeights } from './external-weights.ts';
export { type Attribute, type Dimension, GraphBuilder, type GraphOptions, type NodeOptions } from './graph-builder.ts';
export { mixedDecoder, UnsupportedGraphError } from './mixed-decoder.ts';
export { type SamplingHeadOptions, samplingHead } from './sampling-head.ts';
export { randomWeights, type WeightSource } from './weights.ts';
