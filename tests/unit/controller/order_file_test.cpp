// SPDX-License-Identifier: Apache-2.0
#include "controller/store/order_file.h"

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>

#include "fixtures.h"

namespace faultline::controller::test {
namespace {

using testing::IsEmpty;
using testing::SizeIs;

class Orders : public testing::Test {
 protected:
  static KeptOrder order(const std::string& day, const std::string& text = "enough") {
    api::DayEntry entry{.kind = api::EntryKind::aborted, .who = "jane", .text = text};
    entry.at = {std::chrono::sys_days(std::chrono::year(2026) / 11 / 29)};
    return {day, {entry}};
  }
  TempDir dir_;
  std::string path_ = dir_.file("orders");
  OrderFile file_{path_};
};

TEST_F(Orders, AreThereForTheNextControllerUntilTheyAreDropped) {
  ASSERT_TRUE(file_.reserve());
  ASSERT_TRUE(file_.keep(order("pay-1", "a \"quoted\"\nreason")));
  ASSERT_TRUE(file_.keep(order("pay-2")));
  OrderFile next(path_);
  ASSERT_TRUE(next.reserve());
  const auto kept = next.read();
  ASSERT_TRUE(kept) << kept.error().message;
  ASSERT_THAT(*kept, SizeIs(2));
  EXPECT_EQ(kept->front().day, "pay-1");
  ASSERT_THAT(kept->front().entries, SizeIs(1));
  const api::DayEntry& entry = kept->front().entries.front();
  EXPECT_EQ(entry.kind, api::EntryKind::aborted);
  EXPECT_EQ(entry.text, "a \"quoted\"\nreason");
  EXPECT_EQ(entry.who, "jane");
  EXPECT_TRUE(entry.at.set());
  ASSERT_TRUE(next.drop("pay-1"));
  ASSERT_TRUE(next.drop("pay-3"));
  ASSERT_THAT(*next.read(), SizeIs(1));
  EXPECT_EQ(next.read()->front().day, "pay-2");
}

TEST_F(Orders, AreWrittenInTheirPlaceAndNeedNoMoreRoom) {
  ASSERT_TRUE(file_.reserve());
  const auto size = std::filesystem::file_size(path_);
  EXPECT_EQ(size, OrderFile::kPlaces * OrderFile::kPlaceBytes);
  for (std::size_t i = 0; i < OrderFile::kPlaces; ++i)
    ASSERT_TRUE(file_.keep(order("pay-" + std::to_string(i))));
  ASSERT_TRUE(file_.keep(order("pay-7", "the newer one"))) << "a day has one";
  EXPECT_FALSE(file_.keep(order("one-too-many")));
  EXPECT_THAT(*file_.read(), SizeIs(OrderFile::kPlaces));
  EXPECT_EQ(std::filesystem::file_size(path_), size);
}

// As after a loss of power in the middle of a write.
TEST_F(Orders, WhatWasWrittenInPartIsNone) {
  ASSERT_TRUE(file_.reserve());
  ASSERT_TRUE(file_.keep(order("pay-1")));
  ASSERT_TRUE(file_.keep(order("pay-2")));
  {
    std::fstream bytes(path_, std::ios::in | std::ios::out | std::ios::binary);
    bytes.seekp(40);
    bytes.put('\0');
  }
  ASSERT_THAT(*file_.read(), SizeIs(1));
  EXPECT_EQ(file_.read()->front().day, "pay-2");
  ASSERT_TRUE(file_.keep(order("pay-3"))) << "its place is free";
  EXPECT_THAT(*file_.read(), SizeIs(2));
}

TEST_F(Orders, WhatIsNoOrderIsLeftOutAndWhatIsTooLargeRefused) {
  EXPECT_THAT(*file_.read(), IsEmpty()) << "there is no file";
  for (const char* text : {"", "12", "99999999 1\nx", "-1 -1\n", "4 0\nabcd", "garbage\n\n"}) {
    std::ofstream(path_, std::ios::binary) << text;
    EXPECT_THAT(*file_.read(), IsEmpty()) << text;
    ASSERT_TRUE(file_.reserve()) << text;
    EXPECT_THAT(*file_.read(), IsEmpty()) << text;
  }
  const auto large = file_.keep(order("pay-1", std::string(OrderFile::kPlaceBytes, 'x')));
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().code, Errc::kInvalid);
  EXPECT_FALSE(OrderFile(dir_.file("no/such/folder")).reserve());
}

}  // namespace
}  // namespace faultline::controller::test
