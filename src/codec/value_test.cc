#include "codec/value.h"

#include <gtest/gtest.h>

namespace km::codec {
namespace {

TEST(Value, ParsesAndPrints) {
  auto v = Value::parse(R"( {"b":[1,2.5,-3,"x<",null,true],"a":{"c":1e3,"d":12345678901234567890}} )");
  ASSERT_TRUE(v.ok());
  EXPECT_EQ(v->json(), R"({"a":{"c":1000,"d":12345678901234567000},"b":[1,2.5,-3,"x\u003c",null,true]})");
  std::string exact;
  v->find("a")->find("c")->appendExactJson(exact);
  EXPECT_EQ(exact, "1000.0");
}

TEST(Value, ReportsDuplicates) {
  StrictErrors strict;
  auto v = Value::parse(R"({"a":1,"l":[{"x":1,"x":2}],"a":2})", &strict);
  ASSERT_TRUE(v.ok());
  EXPECT_EQ(strict.errors, (std::vector<std::string>{"duplicate field \"l[0].x\"", "duplicate field \"a\""}));
  EXPECT_EQ(v->json(), R"({"a":2,"l":[{"x":2}]})");
}

TEST(Value, RefusesWhatGoRefuses) {
  EXPECT_EQ(Value::parse("{\"a\":").status().message(), "unexpected end of JSON input");
  EXPECT_EQ(Value::parse("{} x").status().message(), "invalid character 'x' after top-level value");
  EXPECT_FALSE(Value::parse(std::string(5000, '[')).ok());
  EXPECT_FALSE(Value::parse(std::string(1500, '[') + std::string(1500, ']')).ok());
}

TEST(Value, Edits) {
  Value v = Value::object();
  for (int i = 0; i < 100; i++) v[std::to_string(i)] = Value::integer(i);
  Value copy = v;
  for (int i = 0; i < 100; i += 2) EXPECT_TRUE(v.erase(std::to_string(i)));
  EXPECT_EQ(v.size(), 50u);
  EXPECT_EQ(copy.size(), 100u);
  EXPECT_EQ(v.find("51")->asInt(), 51);
  Value list;
  list.push(Value::string("a long text that stands on the heap"));
  list.insert(0, std::move(v));
  list.push({});
  list.remove(0);
  EXPECT_EQ(list.json(), R"(["a long text that stands on the heap",null])");
  EXPECT_TRUE(Value::integer(2) == Value::number(2));
  EXPECT_LT(Value::compare(Value::integer(2), Value::string("")), 0);
}

}  // namespace
}  // namespace km::codec
