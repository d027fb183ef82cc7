// SPDX-License-Identifier: Apache-2.0
// One fuzz target a file: it includes this and defines fuzz(), which is given bytes that somebody
// may send, and must neither end the program nor take long. The sanitizers watch. libFuzzer, one
// thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace faultline::fuzz {

void fuzz(std::string_view input);

// What must hold whatever was sent; `what` is printed when it does not, and the input is kept.
inline void must(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "fuzz: does not hold: %s\n", what);
  std::abort();
}

// The first byte chooses among several readers of one target.
inline unsigned choose(std::string_view& input, unsigned among) {
  if (input.empty()) return 0;
  const auto first = static_cast<unsigned char>(input.front());
  input.remove_prefix(1);
  // Letters in a corpus: 'a' is the first.
  return (first >= 'a' ? first - 'a' : first) % among;
}

}  // namespace faultline::fuzz

extern "C" inline int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
    __attribute__((used));
extern "C" inline int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  faultline::fuzz::fuzz({reinterpret_cast<const char*>(data), size});
  return 0;
}
