# What `make jumpstart` writes; see variables.py beside this file. A module that deploys such a model takes this variable.

variable "jumpstart_model" {
  description = "A JumpStart model as the SageMaker SDK resolves it: image, weights, instance and payload form. Sizes in GB, times in seconds; null leaves them to SageMaker."
  type = object({
    model_id  = string
    version   = string
    region    = string
    image_uri = string
    model_data = object({
      s3_uri           = string
      s3_data_type     = string
      compression_type = string
      gated            = bool
    })
    model_package_arn  = string
    instance_type      = string
    instance_types     = list(string)
    environment        = map(string)
    network_isolation  = bool
    volume_size_gb     = number
    download_timeout_s = number
    startup_timeout_s  = number
    payload = object({
      content_type  = string
      accept        = string
      content_types = list(string)
      accepts       = list(string)
      prompt_key    = string
      example_json  = string
    })
  })

  validation {
    condition     = contains(var.jumpstart_model.instance_types, var.jumpstart_model.instance_type)
    error_message = "instance_type must be one of instance_types: the image is made for those."
  }
  validation {
    condition     = (var.jumpstart_model.model_data == null) != (var.jumpstart_model.model_package_arn == null)
    error_message = "Either model_data or model_package_arn says where the weights are, and not both."
  }
  validation {
    condition = (
      var.jumpstart_model.payload.prompt_key == null
      ? can(tostring(jsondecode(var.jumpstart_model.payload.example_json)))
      : can(jsondecode(var.jumpstart_model.payload.example_json)[var.jumpstart_model.payload.prompt_key])
    )
    error_message = "payload.example_json must hold the field that payload.prompt_key names, or be text where that is null."
  }
}
