// YAML from anybody: what is made of it is JSON, and JSON's own YAML reads back as the same.
#include <cstdlib>
#include <string>
#include <string_view>

#include "codec/json.h"
#include "codec/yaml.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (std::string_view document : km::codec::splitYamlDocuments(text)) {
    auto json = km::codec::yamlToJson(document);
    if (!json.ok()) continue;
    if (!km::codec::checkJsonSyntax(*json).ok()) std::abort();
    auto yaml = km::codec::jsonToYaml(*json);
    if (!yaml.ok()) std::abort();
    auto again = km::codec::yamlToJson(*yaml);
    if (!again.ok() || *again != *json) std::abort();
  }
  return 0;
}
