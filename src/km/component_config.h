// Configuration files of parts (KubeletConfiguration, KubeProxyConfiguration): a table says which fields there are, their types and defaults,
// which flag sets one, and whether it does anything here. One object holds the values, from defaults, file, drop-ins and flags.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/flags.h"
#include "base/result.h"
#include "codec/value.h"

namespace km {

enum class FieldType { kBool, kInt, kFloat, kText, kDuration, kTexts, kInts, kTextMap, kBoolMap, kTextListMap, kAny };

// Whether a field does what upstream's does: kYes; kNoEffect where there is nothing that it could change (`note` says why); kNo: it is not built,
// and whoever sets it is told.
enum class Support { kYes, kNoEffect, kNo };

struct ConfigField {
  std::string_view path;  // "authentication.x509.clientCAFile"
  FieldType type;
  std::string_view preset;  // JSON; "" for none
  std::string_view flag;    // without --; "" for none
  std::string_view flagType;
  Support support;
  std::string_view note;
  bool zeroCounts;  // upstream's field is a pointer: zero is a value, not the lack of one
};

struct ConfigSchema {
  std::string_view kind, apiVersion;
  std::span<const ConfigField> fields;
  const ConfigField* find(std::string_view path) const;
};

extern const ConfigSchema kKubeletConfig;  // kubelet.config.k8s.io/v1beta1
extern const ConfigSchema kProxyConfig;    // kubeproxy.config.k8s.io/v1alpha1

class ComponentConfig {
 public:
  explicit ComponentConfig(const ConfigSchema& schema);

  // Takes the place of all values. YAML or JSON. Unknown and repeated fields are told in the log, as upstream falls back to lenient decoding;
  // a wrong kind or type is an error.
  Status read(std::string_view text);
  Status load(const std::string& path);
  // A drop-in laid over what is there, as a JSON merge patch.
  Status merge(std::string_view text);
  // All *.conf of the directory and those below, in lexical order.
  Status mergeDirectory(const std::string& directory);

  // One flag for each field that has one. They set the values when parsed; applyFlags() sets them again, over a file that was read since.
  void addFlags(FlagSet& flags);
  void applyFlags();

  // With defaults where nothing was said.
  bool boolean(std::string_view path) const;
  int64_t integer(std::string_view path) const;
  std::string text(std::string_view path) const;
  Duration duration(std::string_view path) const;
  std::vector<std::string> texts(std::string_view path) const;
  std::map<std::string, std::string> textMap(std::string_view path) const;
  const codec::Value* value(std::string_view path) const;  // null if neither said nor defaulted
  bool isSet(std::string_view path) const;                 // to something else than the default
  void set(std::string_view path, codec::Value v);

  // What was set and is not supported, or has no effect: a line each, with the reason.
  std::vector<std::string> notices(Support which) const;
  // Logs the notices: warnings of what is not supported.
  void tellNotices() const;
  // The whole configuration with its kind and every default, as JSON.
  std::string document() const;
  // {"kubeletconfig":{...}} with every default, as /configz answers.
  std::string configz(std::string_view name) const;

 private:
  Status decode(std::string_view text, codec::Value* out) const;
  Status setFlag(const ConfigField& field, std::string_view text);

  const ConfigSchema* schema_;
  codec::Value values_;
  std::vector<std::pair<const ConfigField*, codec::Value>> flags_;  // in the order of the command line, one a field
};

// "a\nb" of validation errors as upstream aggregates them: "[a, b]", or one bare.
std::string aggregate(const std::vector<std::string>& errors);

}  // namespace km
