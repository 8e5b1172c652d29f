#include "base/log.h"

#include <gtest/gtest.h>

#include <regex>
#include <thread>

#include "base/flags.h"

namespace km {
namespace {

class Log : public testing::Test {
 protected:
  Log() {
    setLogSink([this](Severity, std::string_view line) { lines_.emplace_back(line); });
  }
  ~Log() override {
    setLogSink(nullptr);
    setVerbosity(0);
    (void)setVmodule("");
  }
  // The last line after "] ".
  std::string said() const {
    if (lines_.empty()) return "";
    return lines_.back().substr(lines_.back().find("] ") + 2);
  }
  std::vector<std::string> lines_;
};

TEST_F(Log, HeaderIsKlogs) {
  KM_LOG(WARNING, "hello {}", "world");
  EXPECT_TRUE(std::regex_match(
      lines_[0], std::regex(R"(W\d{4} \d\d:\d\d:\d\d\.\d{6} +\d+ log_test\.cc:\d+\] hello world\n)")))
      << lines_[0];
}

TEST_F(Log, PlaceholdersTakeArgumentsInOrder) {
  KM_LOG(INFO, "{} of {} in {} {{}} {} {}", 1, 2u, Duration(1'500'000'000), true, 0.5);
  EXPECT_EQ(said(), "1 of 2 in 1.5s {} true 0.5\n");
  KM_LOG(INFO, "none");
  EXPECT_EQ(said(), "none\n");
  KM_LOG(INFO, "too few {} {}", "a");
  EXPECT_EQ(said(), "too few a {}\n");
}

TEST_F(Log, StructuredLinesQuoteTextAndNotNumbers) {
  logInfo("Pod status \"updated\"",
          {{"pod", std::string("kube-system/dns")}, {"count", 3}, {"ready", false}});
  EXPECT_EQ(said(), "\"Pod status \\\"updated\\\"\" pod=\"kube-system/dns\" count=3 ready=false\n");
  logError(errors::badRequest("no \"x\""), "Failed", {{"list", std::vector<std::string>{"a", "b"}}});
  EXPECT_EQ(said(), "\"Failed\" err=\"no \\\"x\\\"\" list=[\"a\",\"b\"]\n");
  EXPECT_EQ(lines_.back()[0], 'E');
  logInfo("Text", {{"x", "one\ntwo"}, {"y", 1}});
  EXPECT_EQ(said(), "\"Text\" x=<\n\tone\n\ttwo\n > y=1\n");
}

TEST_F(Log, NothingIsEvaluatedWhenOff) {
  int evaluated = 0;
  auto touch = [&] { return ++evaluated; };
  KM_VLOG(2, "{}", touch());
  EXPECT_EQ(evaluated, 0);
  setVerbosity(2);
  KM_VLOG(2, "{}", touch());
  KM_VLOG(3, "{}", touch());
  KM_VINFO(1, "Message", {{"n", touch()}});
  EXPECT_EQ(evaluated, 2);
  EXPECT_EQ(said(), "\"Message\" n=2\n");
}

TEST_F(Log, VmoduleChoosesFiles) {
  ASSERT_TRUE(setVmodule("other=9,log_*=3").ok());
  KM_VLOG(3, "on");
  KM_VLOG(4, "off");
  ASSERT_EQ(lines_.size(), 1u);
  EXPECT_EQ(setVmodule("a").message(), "syntax error: expect comma-separated list of filename=N");
}

TEST_F(Log, FlagsActAtOnce) {
  FlagSet flags;
  addLogFlags(flags);
  std::vector<std::string> args = {"-v", "4", "--vmodule=x=5"};
  ASSERT_TRUE(flags.parse(args).ok());
  EXPECT_EQ(verbosity(), 4);
  std::vector<std::string> bad = {"--v=x"};
  EXPECT_FALSE(flags.parse(bad).ok());
}

TEST_F(Log, LinesOfThreadsDoNotMix) {
  auto body = [] {
    for (int i = 0; i < 200; i++) KM_LOG(INFO, "line {}", i);
  };
  std::thread a(body), b(body);
  a.join();
  b.join();
  EXPECT_EQ(lines_.size(), 400u);
}

TEST(LogDeath, FatalAndBrokenInvariants) {
  EXPECT_EXIT(KM_LOG(FATAL, "the end"), testing::ExitedWithCode(255), "the end");
  EXPECT_DEATH(KM_CHECK(1 + 1 == 3), "Broken invariant: 1 \\+ 1 == 3");
}

}  // namespace
}  // namespace km
