// SPDX-License-Identifier: Apache-2.0
// Room beside a store that a controller gives up to begin: on a disk that is full SQLite cannot
// open a store, and what an earlier controller left under way must be written down as over.
//
// Not thread-safe; blocks as long as the disk does.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace faultline::controller {

class StoreReserve {
 public:
  // The file is STORE.reserve.
  explicit StoreReserve(const std::string& store) : path_(store + ".reserve") {}

  // Sees to it that the file takes up its whole size. Errors: the disk has no room for it.
  Result<> hold() const;
  // Gives the room back. False: there was none.
  bool release() const;

  static constexpr std::size_t kBytes = 4 << 20;

 private:
  std::string path_;
};

}  // namespace faultline::controller
