// The element-wise parts of the training step, fused: on one CPU core they would otherwise cost more than the matrix products.
// bf16 numbers are uint16_t; sums are float.  Built by model.py with the compiler's -ffast-math, so no infinities here.
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef uint16_t bf16;

static inline float widen(bf16 v) {
  uint32_t u = (uint32_t)v << 16;
  float f;
  memcpy(&f, &u, 4);
  return f;
}

static inline bf16 narrow(float f) {
  uint32_t u;
  memcpy(&u, &f, 4);
  return (bf16)((u + 0x7fff + ((u >> 16) & 1)) >> 16);
}

// y = x * scale * w, scale = 1 / sqrt(mean(x^2) + eps)
void norm_forward(const float* restrict x, const float* restrict w, bf16* restrict y, float* restrict scale, long rows, long n) {
  for (long r = 0; r < rows; ++r, x += n, y += n) {
    float sum = 0;
    for (long i = 0; i < n; ++i) sum += x[i] * x[i];
    const float s = 1 / sqrtf(sum / (float)n + 1e-5f);
    scale[r] = s;
    for (long i = 0; i < n; ++i) y[i] = narrow(x[i] * s * w[i]);
  }
}

void norm_backward(const float* restrict x, const float* restrict w, const float* restrict scale, const bf16* restrict dy, float* restrict dx,
                   float* restrict dw, long rows, long n) {
  for (long r = 0; r < rows; ++r, x += n, dy += n, dx += n) {
    const float s = scale[r];
    float dot = 0;
    for (long i = 0; i < n; ++i) dot += widen(dy[i]) * w[i] * x[i];
    dot *= s * s / (float)n;
    for (long i = 0; i < n; ++i) {
      const float d = widen(dy[i]);
      dx[i] = s * (d * w[i] - x[i] * dot);
      dw[i] += d * x[i] * s;
    }
  }
}

// gu = [gate | up] of n each, with gpt-oss's limits: act = (u + 1) * g * sigmoid(1.702 g)
void swiglu_forward(const bf16* restrict gu, bf16* restrict act, long rows, long n) {
  for (long r = 0; r < rows; ++r, gu += 2 * n, act += n)
    for (long i = 0; i < n; ++i) {
      const float g = fminf(widen(gu[i]), 7.0f), u = fmaxf(fminf(widen(gu[n + i]), 7.0f), -7.0f);
      act[i] = narrow((u + 1) * g / (1 + expf(-1.702f * g)));
    }
}

void swiglu_backward(const bf16* restrict gu, const bf16* restrict dact, bf16* restrict dgu, long rows, long n) {
  for (long r = 0; r < rows; ++r, gu += 2 * n, dgu += 2 * n, dact += n)
    for (long i = 0; i < n; ++i) {
      const float g0 = widen(gu[i]), u0 = widen(gu[n + i]), d = widen(dact[i]);
      const float g = fminf(g0, 7.0f), u = fmaxf(fminf(u0, 7.0f), -7.0f);
      const float s = 1 / (1 + expf(-1.702f * g));
      const float dg = d * (u + 1) * s * (1 + 1.702f * g * (1 - s)), du = d * g * s;
      dgu[i] = narrow(g0 <= 7.0f ? dg : 0.0f);
      dgu[n + i] = narrow(u0 <= 7.0f && u0 >= -7.0f ? du : 0.0f);
    }
}

// Rotates the first `heads` heads of every row (stride bf16 numbers apart) in place; direction -1 rotates back.
void rope(bf16* restrict x, const float* restrict cosines, const float* restrict sines, const int* restrict positions, long rows, long stride,
          long heads, long dim, float direction) {
  const long half = dim / 2;
  for (long r = 0; r < rows; ++r, x += stride) {
    const float *c = cosines + positions[r] * half, *s = sines + positions[r] * half;
    for (long h = 0; h < heads; ++h) {
      bf16 *a = x + h * dim, *b = a + half;
      for (long i = 0; i < half; ++i) {
        const float p = widen(a[i]), q = widen(b[i]), t = direction * s[i];
        a[i] = narrow(p * c[i] - q * t);
        b[i] = narrow(q * c[i] + p * t);
      }
    }
  }
}

// scores [n, heads, queries, keys] become probabilities in place; a query sees keys at most window - 1 positions before it.
void softmax_forward(bf16* restrict scores, const float* restrict sinks, const int* restrict query_positions, const int* restrict key_positions,
                     float* restrict sink_share, long n, long heads, long queries, long keys, int window, float scale) {
  float row[4096];
  for (long b = 0; b < n; ++b)
    for (long h = 0; h < heads; ++h)
      for (long q = 0; q < queries; ++q, scores += keys) {
        const int at = query_positions[b * queries + q];
        const int* kp = key_positions + b * keys;
        float top = sinks[h];
        for (long k = 0; k < keys; ++k) {
          const unsigned before = (unsigned)(at - kp[k]);
          row[k] = before < (unsigned)window ? widen(scores[k]) * scale : -1e4f;
          top = fmaxf(top, row[k]);
        }
        float sum = expf(sinks[h] - top);
        const float sink = sum;
        for (long k = 0; k < keys; ++k) {
          row[k] = expf(fmaxf(row[k] - top, -80.0f));
          row[k] = row[k] < 1e-30f ? 0.0f : row[k];
          sum += row[k];
        }
        const float part = 1 / sum;
        sink_share[(b * heads + h) * queries + q] = sink * part;
        for (long k = 0; k < keys; ++k) scores[k] = narrow(row[k] * part);
      }
}

// d becomes the gradient of the scores in place.
void softmax_backward(const bf16* restrict p, bf16* restrict d, const float* restrict sink_share, float* restrict dsinks, long n, long heads, long queries,
                      long keys, float scale) {
  for (long b = 0; b < n; ++b)
    for (long h = 0; h < heads; ++h)
      for (long q = 0; q < queries; ++q, p += keys, d += keys) {
        float dot = 0;
        for (long k = 0; k < keys; ++k) dot += widen(p[k]) * widen(d[k]);
        dsinks[h] -= sink_share[(b * heads + h) * queries + q] * dot;
        for (long k = 0; k < keys; ++k) d[k] = narrow(widen(p[k]) * (widen(d[k]) - dot) * scale);
      }
}

// out[t] = x[t] + sum_k w[t,k] * y[place[t,k]]
void combine_forward(const float* restrict x, const bf16* restrict y, const float* restrict w, const long* restrict place, float* restrict out, long rows,
                     long top, long n) {
  for (long t = 0; t < rows; ++t, x += n, out += n) {
    for (long i = 0; i < n; ++i) out[i] = x[i];
    for (long k = 0; k < top; ++k) {
      const bf16* from = y + place[t * top + k] * n;
      const float f = w[t * top + k];
      for (long i = 0; i < n; ++i) out[i] += f * widen(from[i]);
    }
  }
}

void combine_backward(const float* restrict g, const bf16* restrict y, const float* restrict w, const long* restrict place, bf16* restrict dy,
                      float* restrict dw, long rows, long top, long n) {
  for (long t = 0; t < rows; ++t, g += n)
    for (long k = 0; k < top; ++k) {
      const long at = place[t * top + k] * n;
      const float f = w[t * top + k];
      float dot = 0;
      for (long i = 0; i < n; ++i) {
        dy[at + i] = narrow(f * g[i]);
        dot += g[i] * widen(y[at + i]);
      }
      dw[t * top + k] = dot;
    }
}

// out[place] = x[t] for every choice, and back
void spread(const bf16* restrict x, const long* restrict place, bf16* restrict out, long rows, long top, long n) {
  for (long t = 0; t < rows; ++t, x += n)
    for (long k = 0; k < top; ++k) memcpy(out + place[t * top + k] * n, x, (size_t)n * 2);
}

void gather(const bf16* restrict g, const long* restrict place, bf16* restrict dx, long rows, long top, long n) {
  for (long t = 0; t < rows; ++t, dx += n) {
    const bf16 *a = g + place[t * top] * n, *b = g + place[t * top + 1] * n;
    for (long i = 0; i < n; ++i) dx[i] = narrow(widen(a[i]) + widen(b[i]));
  }
}
