// SPDX-License-Identifier: Apache-2.0
// What somebody says in a line of text.
#include "controller/gameday/spoken.h"

#include <gmock/gmock.h>

namespace faultline::controller::gameday {
namespace {

using api::EntryKind;
using testing::HasSubstr;

api::DayWord said(const std::string& line) {
  const auto word = spoken_word(line);
  if (word) return *word;
  ADD_FAILURE() << line << ": " << word.error().message;
  return {};
}
std::string why(const std::string& line) {
  const auto word = spoken_word(line);
  EXPECT_FALSE(word) << line;
  return word ? "" : word.error().message;
}

TEST(Spoken, TheWordsAreThoseOfTheCommand) {
  EXPECT_EQ(said("start").kind, EntryKind::started);
  EXPECT_EQ(said(" next\n").kind, EntryKind::answered);
  EXPECT_EQ(said("next briefing").step, "briefing");
  const auto done = said("done mend --outcome partial  half of it ");
  EXPECT_EQ(done.step, "mend");
  EXPECT_EQ(done.outcome, api::StepOutcome::partial);
  EXPECT_EQ(done.text, "half of it");
  EXPECT_FALSE(said("hold").good);
  EXPECT_TRUE(said("hold --keep customers call").good);
  EXPECT_EQ(said("hold --keep customers call").text, "customers call");
  EXPECT_EQ(said("skip grid").kind, EntryKind::skipped);
  EXPECT_EQ(said("abort customers notice").text, "customers notice");
  const auto tick = said("tick mend 2 --failed the queue is full");
  EXPECT_EQ(tick.item, 2);
  EXPECT_FALSE(tick.good);
  EXPECT_EQ(tick.text, "the queue is full");
  EXPECT_TRUE(said("tick mend 2").good);
  EXPECT_EQ(said("ack CheckoutSlow on it").word, "CheckoutSlow");
  const auto action = said("action --owner shop --due 2026-12-31 shorten the timeout");
  EXPECT_EQ(action.action->owner, "shop");
  EXPECT_EQ(action.action->text, "shorten the timeout");
}

TEST(Spoken, ATextIsNoOption) {
  EXPECT_EQ(said("note we ran it with --failed").text, "we ran it with --failed");
  EXPECT_EQ(said("abort --keep").text, "--keep");
}

TEST(Spoken, WhatIsWrongIsSaid) {
  EXPECT_THAT(why(""), HasSubstr("expected one of: start, next"));
  EXPECT_THAT(why("abrot"), HasSubstr("did you mean \"abort\""));
  EXPECT_THAT(why("skip"), HasSubstr("the name of a step"));
  EXPECT_THAT(why("tick mend two"), HasSubstr("the number of a step of the runbook"));
  EXPECT_THAT(why("tick mend 0"), HasSubstr("from 1"));
  EXPECT_THAT(why("tick mend 99999999999999999999"), HasSubstr("from 1"));
  EXPECT_THAT(why("done mend --outcome great"), HasSubstr("done, met, missed"));
  EXPECT_THAT(why("done mend --outcome"), HasSubstr("a value"));
  EXPECT_THAT(why("hold --keeps"), HasSubstr("one of its options (keep)"));
  EXPECT_THAT(why("resume now"), HasSubstr("nothing behind it"));
  EXPECT_THAT(why("note " + std::string(5000, 'x')), HasSubstr("at most 4096"));
}

}  // namespace
}  // namespace faultline::controller::gameday
