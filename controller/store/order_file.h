// SPDX-License-Identifier: Apache-2.0
// Orders to abort a game day that its store does not take, in a file beside it, so that they
// outlive a controller that is killed. The file has its whole size from the first start on and is
// written in its place: where the disk or a quota is full, it takes an order all the same. (A file
// system that writes every change to a new place may refuse.) An order that was written in part is
// none.
//
// Not thread-safe; blocks as long as the disk does.
#pragma once

#include <string>
#include <vector>

#include "api/gameday_record.h"
#include "base/result.h"

namespace faultline::controller {

// The path of the file beside this store.
[[nodiscard]] inline std::string orders_beside(const std::string& store) {
  return store + ".orders";
}

struct KeptOrder {
  std::string day;                     // its id
  std::vector<api::DayEntry> entries;  // that end it, without numbers
};

class OrderFile {
 public:
  explicit OrderFile(std::string path) : path_(std::move(path)) {}

  // Sees to it that the file has its whole size. What is in it stays.
  Result<> reserve();
  // What is kept, in no order. What cannot be read is left out.
  [[nodiscard]] Result<std::vector<KeptOrder>> read() const;
  // Returns when it is on the disk. Of a day that has an order the newer one is kept. kInvalid: it
  // is too large.
  Result<> keep(const KeptOrder& order);
  // The day needs none any more.
  Result<> drop(const std::string& day);

  static constexpr std::size_t kPlaces = 64;            // twice the days that are under way
  static constexpr std::size_t kPlaceBytes = 32 << 10;  // of one order

 private:
  [[nodiscard]] Result<std::string> read_all() const;
  Result<> write(std::size_t place, const std::string& bytes);

  std::string path_;
};

}  // namespace faultline::controller
