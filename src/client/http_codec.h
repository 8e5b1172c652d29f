// What the HTTPS transport sends and receives, as bytes: paths, bodies, answers, watch frames. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "client/client.h"

namespace km::client {

inline constexpr std::string_view kProtobufType = "application/vnd.kubernetes.protobuf";

// "/api/v1/namespaces/ns/pods/name/status".
std::string resourcePath(const Target& t);
// Appends "?a=b&c=d", escaped; empty values are left out.
void appendQuery(std::string& path, std::vector<std::pair<std::string_view, std::string>> parameters);
std::vector<std::pair<std::string_view, std::string>> listParameters(const ListOptions& options);
std::vector<std::pair<std::string_view, std::string>> writeParameters(const WriteOptions& options);
std::string deleteOptionsJson(const DeleteOptions& options);

// An answer's object. It has the type of the resource, of `given` (what was sent; may be null), or is a Status.
Result<ObjectPtr> decodeObject(std::string_view body, std::string_view contentType, const api::Resource& resource,
                               const codec::TypeInfo* given);
Result<ObjectList> decodeList(std::string_view body, std::string_view contentType, const api::Resource& resource);
// The error that an answer with this code stands for, from its Status where it has one.
Status decodeError(int code, std::string_view body, std::string_view contentType);

// Splits a watch stream into events. Feed it bytes as they come.
class WatchDecoder {
 public:
  WatchDecoder(const api::Resource& resource, bool json) : resource_(resource), json_(json) {}
  // Appends the events that are complete. An error: the stream is broken.
  Status feed(std::string_view bytes, std::vector<WatchEvent>& out);

 private:
  Status frame(std::string_view frame, std::vector<WatchEvent>& out);
  const api::Resource& resource_;
  bool json_;
  std::string rest_;
};

}  // namespace km::client
