// The scalar types and containers; the codecs are tested on real types in src/api.
#include <gtest/gtest.h>

#include "codec/json.h"
#include "codec/list.h"
#include "codec/scalars.h"

namespace km::codec {
namespace {

TEST(String, ShortTextsStandInPlace) {
  String s("fifteen letters");
  EXPECT_EQ(s.size(), 15u);
  EXPECT_EQ(s.heapBytes(), 0u);
  String longer("sixteen letters!");
  EXPECT_GT(longer.heapBytes(), 0u);
  String moved(std::move(longer));
  EXPECT_EQ(moved, "sixteen letters!");
  EXPECT_TRUE(longer.empty());
  moved = moved.view().substr(2);
  EXPECT_EQ(moved, "xteen letters!");
}

TEST(Memory, ZeroIsTheEmptyValue) {
  alignas(16) char zero[64] = {};
  EXPECT_FALSE(reinterpret_cast<std::optional<int32_t>*>(zero)->has_value());
  EXPECT_FALSE(reinterpret_cast<std::optional<bool>*>(zero)->has_value());
  EXPECT_FALSE(reinterpret_cast<std::optional<Quantity>*>(zero)->has_value());
  EXPECT_FALSE(reinterpret_cast<std::optional<String>*>(zero)->has_value());
  EXPECT_EQ(*reinterpret_cast<String*>(zero), "");
  std::optional<int64_t> five = 5;
  EXPECT_EQ(static_cast<void*>(&five), static_cast<void*>(&*five));
}

TEST(Map, IsSortedByKey) {
  Map<String> m;
  m["b"] = "2";
  m["a"] = "1";
  m["c"] = "3";
  EXPECT_EQ(m.begin()->key, "a");
  EXPECT_TRUE(m.erase("b"));
  EXPECT_EQ(m.find("b"), nullptr);
  Map<String> copy = m;
  EXPECT_EQ(copy, m);
  copy["a"] = "other";
  EXPECT_FALSE(copy == m);
}

std::string canonical(std::string_view s) {
  auto q = Quantity::parse(s);
  return q.ok() ? q->str() : "error: " + q.status().message();
}

TEST(Quantity, CanonicalForms) {
  const std::pair<const char*, const char*> cases[] = {
      {"0", "0"},           {"1000m", "1"},      {"1500m", "1500m"},  {"0.5", "500m"},      {"1.5Gi", "1536Mi"},
      {"1024Ki", "1Mi"},    {"1e3", "1e3"},      {"1000", "1k"},      {"100", "100"},       {"12345678", "12345678"},
      {"0.1Mi", "104857600m"}, {"500Ki", "500Ki"}, {"1023", "1023"},   {"-1.5", "-1500m"},   {"1.0", "1"},
      {"1n", "1n"},         {"0.0000000001", "1n"}, {"4e9", "4e9"},   {"2Ei", "2Ei"},       {"1E", "1E"},
      {"1.5e3", "1500"},    {"0.5Ki", "512"},    {"128974848", "128974848"}, {"129M", "129M"},
      // Decimal numbers have no end.
      {"9e30", "9e30"},     {"1e19", "10e18"},   {"1e31", "10e30"},   {"-9e30", "-9e30"},   {"8E2000", "800e1998"}, {"1e-2000", "1e-9"}, {"5.5E2000", "550e1998"},
      {"99999999999999999999999999999999999999.9999999999E0", "100e36"}, {".38888888888888888888Ei", "448358362902662712878640698n"},   {"123456789012345678901234567890123", "123456789012345678901234567890123"},
  };
  for (auto [in, out] : cases) EXPECT_EQ(canonical(in), out) << in;
  EXPECT_EQ(canonical("1Zi"), "error: quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
  EXPECT_EQ(canonical("1iK"), "error: unable to parse quantity's suffix");
}

TEST(Quantity, Values) {
  EXPECT_EQ(Quantity::parse("1500m")->value(), 2);
  EXPECT_EQ(Quantity::parse("1500m")->milliValue(), 1500);
  EXPECT_EQ(Quantity::parse("1Gi")->value(), 1 << 30);
  EXPECT_EQ(*Quantity::parse("1") + *Quantity::parse("500m"), *Quantity::parse("1.5"));
}

TEST(Time, Rfc3339) {
  EXPECT_EQ(Time(0).str(), "1970-01-01T00:00:00Z");
  EXPECT_EQ(Time::parse("2026-11-24T08:06:23Z")->str(), "2026-11-24T08:06:23Z");
  EXPECT_EQ(Time::parse("2026-11-24T10:06:23.9+02:00")->str(), "2026-11-24T08:06:23Z");
  EXPECT_EQ(MicroTime::parse("2026-11-24T08:06:23.123456Z")->str(), "2026-11-24T08:06:23.123456Z");
  EXPECT_EQ(Time::parse("yesterday").status().message(),
            "parsing time \"yesterday\" as \"2006-01-02T15:04:05Z07:00\": cannot parse \"yesterday\" as \"2006\"");
}

TEST(Json, SyntaxErrorsReadAsGo) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "unexpected end of JSON input"},
      {"{", "unexpected end of JSON input"},
      {"{a", "invalid character 'a' looking for beginning of object key string"},
      {"{\"a\" 1}", "invalid character '1' after object key"},
      {"{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair"},
      {"[1 2]", "invalid character '2' after array element"},
      {"tru", "unexpected end of JSON input"},
      {"nulL", "invalid character 'L' in literal null (expecting 'l')"},
      {"{} x", "invalid character 'x' after top-level value"},
      {"\"\\x\"", "invalid character 'x' in string escape code"},
  };
  for (auto [in, out] : cases) EXPECT_EQ(checkJsonSyntax(in).message(), out) << in;
  EXPECT_TRUE(checkJsonSyntax(" {\"a\":[1,-0.5e3,true,null,\"\\u00e9\"]} ").ok());
}

TEST(Json, Pretty) {
  EXPECT_EQ(prettyJson("{\"a\":[1,{}],\"b\":{\"c\":\"x:y\"}}"),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": {\n    \"c\": \"x:y\"\n  }\n}");
}

}  // namespace
}  // namespace km::codec
