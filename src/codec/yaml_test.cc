#include "codec/yaml.h"

#include <gtest/gtest.h>

#include <random>

namespace km::codec {
namespace {

std::string json(std::string_view yaml) {
  auto r = yamlToJson(yaml);
  return r.ok() ? *r : r.status().message();
}

TEST(YamlRead, ScalarsAsGoYaml) {
  EXPECT_EQ(json("[y, yes, on, True, n, off, ~, null, '', \"1\"]"),
            R"([true,true,true,true,false,false,null,null,"","1"])");
  EXPECT_EQ(json("[0777, 0o17, 1_000, 0b11, 0x1F, -5, +7, 1e3, .5, 1.5, 1., -1.5e-2]"),
            "[511,15,1000,3,31,-5,7,1000,0.5,1.5,1,-0.015]");
  EXPECT_EQ(json("[2001-01-01, 1:20, 1.2.3, 0x, 08, a:b, <]"),
            R"(["2001-01-01","1:20","1.2.3","0x",8,"a:b","\u003c"])");
  EXPECT_EQ(json("[!!str 1, !!int '3', !!binary aGk=, ! 5, !own x]"), R"(["1",3,"hi","5","x"])");
  EXPECT_EQ(json("!!int x"), "yaml: cannot decode !!str `x` as a !!int");
  EXPECT_EQ(json(".nan"), "json: unsupported value: NaN");
}

TEST(YamlRead, Documents) {
  EXPECT_EQ(json("a: 1\nb:\n- x\n- k: |\n    l1\n    l2\n"), R"({"a":1,"b":["x",{"k":"l1\nl2\n"}]})");
  EXPECT_EQ(json("1: a\ntrue: b\n1.5: c\nyes: d"), R"({"1":"a","1.5":"c","true":"d"})");
  EXPECT_EQ(json("a: &x {k: 1, l: 2}\nb: *x\nc:\n  <<: *x\n  l: 3\n"),
            R"({"a":{"k":1,"l":2},"b":{"k":1,"l":2},"c":{"k":1,"l":3}})");
  EXPECT_EQ(json("# only a comment\n"), "null");
  EXPECT_EQ(json(""), "null");
  EXPECT_EQ(json("a: 1\n---\nb: 2\n"), R"({"a":1})");
  EXPECT_EQ(json(R"({"a":[1,{"b":"\u00e9<"}]})"), "{\"a\":[1,{\"b\":\"\xC3\xA9\\u003c\"}]}");
}

TEST(YamlRead, ErrorsAsGoYaml) {
  EXPECT_EQ(json("{"), "yaml: line 1: did not find expected node content");
  EXPECT_EQ(json("a: [1,\n"), "yaml: line 1: did not find expected node content");
  EXPECT_EQ(json("a: b: c"), "yaml: mapping values are not allowed in this context");
  EXPECT_EQ(json("\tkey: value"), "yaml: found character that cannot start any token");
  EXPECT_EQ(json("metadata:\n\tname: tab\n"), "yaml: line 2: found character that cannot start any token");
  EXPECT_EQ(json("metadata: *nothing\n"), "yaml: unknown anchor 'nothing' referenced");
  EXPECT_EQ(json("a: &x [*x]"), "yaml: anchor 'x' value contains itself");
}

TEST(YamlRead, Duplicates) {
  std::vector<std::string> found;
  auto r = parseYaml("metadata:\n  name: y\n  name: z\n", &found);
  ASSERT_TRUE(r.ok());
  EXPECT_EQ(yamlUnmarshalErrors(found), "yaml: unmarshal errors:\n  line 3: key \"name\" already set in map");
}

TEST(YamlRead, BombsAndDepth) {
  std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
  for (int i = 1; i < 10; i++) {
    bomb += "a" + std::to_string(i) + ": &a" + std::to_string(i) + " [";
    for (int k = 0; k < 10; k++) bomb += (k ? ",*a" : "*a") + std::to_string(i - 1);
    bomb += "]\n";
  }
  EXPECT_EQ(json(bomb), "yaml: document contains excessive aliasing");
  EXPECT_EQ(json(std::string(1200, '[')), "yaml: exceeded max depth");
  std::mt19937 rng(3);
  for (int i = 0; i < 3000; i++) {
    std::string text;
    for (size_t n = rng() % 40; n > 0; n--) text += ":-[]{}&*!|>'\"%@`#,? \n\tab1<~x\x80"[rng() % 29];
    (void)json(text);
  }
}

TEST(YamlRead, Split) {
  auto d = splitYamlDocuments("# c\n---\na: 1\n--- # x\nb: 2\n---\n\n---\nc: |\n  ---\n");
  ASSERT_EQ(d.size(), 3u + 1);
  EXPECT_EQ(d[1], "a: 1\n");
  EXPECT_EQ(d[2], "b: 2\n");
  EXPECT_EQ(d[3], "c: |\n  ---\n");
}

std::string yaml(std::string_view text) {
  auto r = jsonToYaml(text);
  return r.ok() ? *r : r.status().message();
}

TEST(YamlWrite, AsGoYaml) {
  EXPECT_EQ(
      yaml(
          R"({"kind":"A","items":[{"b":1,"a":"x"},[1,2],{},[]],"z":null,"f":1.5,"t":true,"m":{"a10":1,"a2":2}})"),
      "f: 1.5\nitems:\n- a: x\n  b: 1\n- - 1\n  - 2\n- {}\n- []\nkind: A\nm:\n  a2: 2\n  a10: 1\nt: true\nz: "
      "null\n");
  EXPECT_EQ(
      yaml(
          R"({"a":"true","b":"1","c":"2001-01-01","d":"1:20","e":"","f":" x","g":"a: b","h":"l1\nl2","i":"l1\n","j":"~","k":"- x"})"),
      "a: \"true\"\nb: \"1\"\nc: \"2001-01-01\"\nd: \"1:20\"\ne: \"\"\nf: ' x'\ng: 'a: b'\nh: |-\n  l1\n  "
      "l2\ni: |\n  l1\n"
      "j: \"~\"\nk: '- x'\n");
  EXPECT_EQ(
      yaml(
          R"({"message":"only the following media types are accepted: application/json;stream=watch, application/vnd.kubernetes.protobuf;stream=watch"})"),
      "message: 'only the following media types are accepted: application/json;stream=watch,\n"
      "  application/vnd.kubernetes.protobuf;stream=watch'\n");
  EXPECT_EQ(yaml("{}"), "{}\n");
  EXPECT_EQ(yaml("\"x\""), "x\n");
}

}  // namespace
}  // namespace km::codec
