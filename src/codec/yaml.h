// YAML in the reading and writing of sigs.k8s.io/yaml (go-yaml v2): documents become JSON values.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "codec/value.h"

namespace km::codec {

// Longer texts are refused.
inline constexpr size_t kMaxYamlBytes = 64 << 20;

// The first document of the text; no document is null. JSON is YAML. Errors are worded "yaml: line 2: ...".
// `duplicates`, if given, receives "line 3: key \"a\" already set in map" for every repeated key; the last
// one counts.
Result<Value> parseYaml(std::string_view text, std::vector<std::string>* duplicates = nullptr);
// The same as compact JSON text with sorted keys.
Result<std::string> yamlToJson(std::string_view text, std::vector<std::string>* duplicates = nullptr);
// One text of duplicates, as the strict decoder says it: "yaml: unmarshal errors:\n  line 3: ...".
std::string yamlUnmarshalErrors(const std::vector<std::string>& duplicates);

// The documents of a stream: separated by lines that begin with "---". Views into the text; blank ones are
// left out.
std::vector<std::string_view> splitYamlDocuments(std::string_view text);

// Appends the value as go-yaml prints it: block style, keys in its order, lines folded at 80 columns.
void appendYaml(std::string& out, const Value& v);
std::string toYaml(const Value& v);
// Of valid JSON.
Result<std::string> jsonToYaml(std::string_view json);

}  // namespace km::codec
