// Durations, names, encodings and the text helpers.
#include <gtest/gtest.h>

#include <limits>
#include <set>

#include "base/base64.h"
#include "base/duration.h"
#include "base/fnv.h"
#include "base/rand.h"
#include "base/strings.h"

namespace km {
namespace {

TEST(Duration, ReadsAsGo) {
  EXPECT_EQ(parseDuration("1h2m3.5s").value().count(), 3'723'500'000'000);
  EXPECT_EQ(parseDuration("-1.5h").value().count(), -5'400'000'000'000);
  EXPECT_EQ(parseDuration("0").value().count(), 0);
  EXPECT_EQ(parseDuration("10us").value().count(), 10'000);
  EXPECT_EQ(parseDuration("10\u00b5s").value().count(), 10'000);
  EXPECT_EQ(parseDuration(".5s").value().count(), 500'000'000);
  EXPECT_EQ(parseDuration("-9223372036854775808ns").value().count(), INT64_MIN);
  EXPECT_EQ(parseDuration("").status().message(), "time: invalid duration \"\"");
  EXPECT_EQ(parseDuration(".s").status().message(), "time: invalid duration \".s\"");
  EXPECT_EQ(parseDuration("3").status().message(), "time: missing unit in duration \"3\"");
  EXPECT_EQ(parseDuration("3d").status().message(), "time: unknown unit \"d\" in duration \"3d\"");
  EXPECT_FALSE(parseDuration("9223372036854775808ns").ok());
  EXPECT_FALSE(parseDuration("3000000h").ok());
}

TEST(Duration, WritesAsGo) {
  auto text = [](int64_t n) { return formatDuration(Duration(n)); };
  EXPECT_EQ(text(0), "0s");
  EXPECT_EQ(text(1), "1ns");
  EXPECT_EQ(text(1'100), "1.1\u00b5s");
  EXPECT_EQ(text(2'200'000), "2.2ms");
  EXPECT_EQ(text(3'300'000'000), "3.3s");
  EXPECT_EQ(text(245'000'000'000), "4m5s");
  EXPECT_EQ(text(245'001'000'000), "4m5.001s");
  EXPECT_EQ(text(18'367'001'000'000), "5h6m7.001s");
  EXPECT_EQ(text(480'000'000'000), "8m0s");
  EXPECT_EQ(text(-1'500'000'000), "-1.5s");
  EXPECT_EQ(text(INT64_MIN), "-2562047h47m16.854775808s");
}

TEST(Rand, NamesAndUuids) {
  std::set<std::string> names;
  for (int i = 0; i < 200; i++) {
    std::string name = randomSuffix(10);
    EXPECT_EQ(name.size(), 10u);
    EXPECT_EQ(name.find_first_not_of("bcdfghjklmnpqrstvwxz2456789"), std::string::npos) << name;
    names.insert(name);
    std::string uuid = randomUuid();
    ASSERT_EQ(uuid.size(), 36u);
    EXPECT_EQ(uuid[14], '4');
    EXPECT_NE(std::string("89ab").find(uuid[19]), std::string::npos);
    names.insert(uuid);
  }
  EXPECT_EQ(names.size(), 400u);
  double f = randomFraction();
  EXPECT_TRUE(f >= 0 && f < 1);
}

TEST(Base64, BothWays) {
  for (auto [plain, coded] :
       {std::pair{"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}}) {
    EXPECT_EQ(base64Encode(plain), coded);
    EXPECT_EQ(base64Decode(coded), plain);
  }
  EXPECT_EQ(base64UrlEncode("\xfb\xff"), "-_8");
  EXPECT_EQ(base64UrlDecode("-_8"), "\xfb\xff");
  EXPECT_EQ(base64Decode("Zm9\nv\r\n"), "foo");
  for (const char* bad : {"Zg", "Zg=", "Zh==", "Z===", "Zg==Zg==", "Zm9v=", "Zm-v", "===="}) {
    EXPECT_FALSE(base64Decode(bad)) << bad;
  }
  EXPECT_FALSE(base64UrlDecode("Zg=="));
  EXPECT_FALSE(base64UrlDecode("Z"));
}

TEST(Fnv, AsGo) {
  EXPECT_EQ(fnv1a32(""), 2166136261u);
  EXPECT_EQ(fnv1a32("foobar"), 0xbf9cf968u);
  EXPECT_EQ(fnv1a64("foobar"), 0x85944171f73967e8ull);
  EXPECT_EQ(fnv1_32("foobar"), 0x31f0b262u);
  EXPECT_EQ(fnv1a32("bar", fnv1a32("foo")), fnv1a32("foobar"));
}

TEST(Strings, Helpers) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(split("", ',').size(), 1u);
  EXPECT_EQ(cut("a=b=c", '=')->second, "b=c");
  EXPECT_FALSE(cut("abc", '='));
  EXPECT_EQ(trimSpace(" \ta b\n"), "a b");
  EXPECT_EQ(trimSpace("  "), "");
  EXPECT_EQ(join(std::vector<std::string>{"a", "b"}, ", "), "a, b");
  EXPECT_EQ(replaceAll("a_b_c", "_", "--"), "a--b--c");
  EXPECT_TRUE(equalFold("Content-Type", "content-type"));
  EXPECT_EQ(parseInt64("-12"), -12);
  EXPECT_FALSE(parseInt64("12x"));
  EXPECT_FALSE(parseInt64("+-1"));
  EXPECT_FALSE(parseInt64(""));
  EXPECT_FALSE(parseUint64("-1"));
}

TEST(Strings, QuotesAsGo) {
  EXPECT_EQ(quote("a\"b\\\n\t\x01\x7f"), "\"a\\\"b\\\\\\n\\t\\x01\\x7f\"");
  EXPECT_EQ(quote("\u00e9\xff\u00a0"), "\"\u00e9\\xff\\u00a0\"");
}

TEST(Strings, FloatsAsGo) {
  EXPECT_EQ(formatGoFloat(0), "0");
  EXPECT_EQ(formatGoFloat(123456), "123456");
  EXPECT_EQ(formatGoFloat(1e6), "1e+06");
  EXPECT_EQ(formatGoFloat(123456789), "1.23456789e+08");
  EXPECT_EQ(formatGoFloat(0.0001), "0.0001");
  EXPECT_EQ(formatGoFloat(0.00001), "1e-05");
  EXPECT_EQ(formatGoFloat(std::numeric_limits<double>::infinity()), "+Inf");
}

}  // namespace
}  // namespace km
