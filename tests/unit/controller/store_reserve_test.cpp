// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "controller/store/reserve.h"
#include "fixtures.h"

namespace faultline::controller::test {
namespace {

namespace fs = std::filesystem;

class StoreReserveTest : public testing::Test {
 protected:
  TempDir dir_;
  StoreReserve reserve_{dir_.file("store.db")};
  const std::string path_ = dir_.file("store.db.reserve"), other_ = dir_.file("other");
};

TEST_F(StoreReserveTest, TakesItsRoomAndGivesItBack) {
  EXPECT_FALSE(reserve_.release()) << "there is none yet";
  ASSERT_TRUE(reserve_.hold());
  EXPECT_EQ(fs::file_size(path_), StoreReserve::kBytes);
  EXPECT_TRUE(reserve_.release());
  EXPECT_EQ(fs::file_size(path_), 0U);
  EXPECT_FALSE(reserve_.release());
}

TEST_F(StoreReserveTest, EmptiesNoOtherFile) {
  std::ofstream(other_) << "a file of somebody else";
  fs::create_symlink(other_, path_);
  EXPECT_FALSE(reserve_.hold());
  EXPECT_FALSE(reserve_.release());
  EXPECT_EQ(fs::file_size(other_), 23U);
  fs::remove(path_);
  fs::create_hard_link(other_, path_);
  EXPECT_FALSE(reserve_.release());
  EXPECT_EQ(fs::file_size(other_), 23U);
}

}  // namespace
}  // namespace faultline::controller::test
